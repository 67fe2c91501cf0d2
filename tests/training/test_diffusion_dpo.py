import gc
import math
from functools import cache

import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from policies import clip_row, picture_row
from transformers import TrainingArguments

from urm_ray import schema
from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.registry import family_of
from urm_ray.media import decode_image, encode_image
from urm_ray.models import load_pipeline
from urm_ray.training.diffusion_dpo import DiffusionDpoTrainer, trainable
from urm_ray.training.encode_pairs import EncodePairs, load_reference
from urm_ray.training.encoded import collate_encoded
from urm_ray.training.guards import TrainingError
from urm_ray.training.noising import Noising
from urm_ray.training.objectives import objective_of

SEED, PAIRS, LR = 5, 2, 1e-3


class Batches:
    """The same micro-batch at every step."""

    def __init__(self, batch: dict, steps: int, start: int = 0) -> None:
        self.batch, self.steps, self.start = batch, steps, start

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        return iter([self.batch] * (self.steps - self.start))


def settings(**changes) -> DpoConfig:
    return DpoConfig(**{"beta": 500.0, "steps": 3, "log_steps": 1, "checkpoint_steps": 1} | changes)


@cache
def _table(path: str, kind: str, draws: int) -> pa.Table:
    rows = [(clip_row if kind == "video" else picture_row)(n) for n in range(PAIRS)]
    config = settings(reference="stored", stored_draws=draws) if draws else settings()
    return EncodePairs(path, config, SEED, device="cpu")(schema.table_of(rows, schema.PREFERENCE_PAIR))


def encoded(path: str, kind: str, config: DpoConfig) -> dict:
    return collate_encoded(_table(path, kind, config.stored_draws if config.reference == "stored" else 0))


@pytest.fixture(autouse=True)
def _no_collections(monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda *_: 0)  # the trainer's, at its end, would take most of the time


def noising(scheduler, config: DpoConfig) -> Noising:
    return Noising(objective_of(scheduler, config), config, SEED)


def trainer(
    path: str, config: DpoConfig, batch: dict, folder, start: int = 0, draws: DpoConfig | None = None, carried: int = 1
):
    """draws: takes the draws of another configuration. carried: shares, which all have the same micro-batches."""
    pipeline = load_pipeline(path, device="cpu", only=("unet", "scheduler"))
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=config.steps - start,
        gradient_accumulation_steps=carried,
        learning_rate=LR,
        lr_scheduler_type="constant",
        use_cpu=True,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        logging_nan_inf_filter=False,
    )
    return DiffusionDpoTrainer(
        model=trainable(pipeline.unet, config),
        args=arguments,
        family=family_of(path),
        batches=Batches(batch, config.steps * carried, start),
        carried=carried,
        noising=noising(pipeline.scheduler, draws or config),
        reference=load_reference(path, config, "cpu") if config.reference == "copy" else None,
        config=config,
    )


def losses(made: DiffusionDpoTrainer) -> list[float]:
    made.train()
    return [entry["loss"] for entry in made.state.log_history if "loss" in entry]


REFERENCES = [
    {"reference": "copy"},
    {"reference": "adapter_off", "lora": {"rank": 2}},
    {"reference": "stored", "stored_draws": 2},
]


@pytest.mark.parametrize("changes", REFERENCES, ids=lambda changes: changes["reference"])
@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_training_starts_at_ln_2_and_moves(kind, changes, request, plain_clips, tmp_path):
    path, config = request.getfixturevalue(f"{kind}_policy"), settings(**changes)
    found = losses(trainer(path, config, encoded(path, kind, config), tmp_path))
    assert len(found) == 3
    assert found[0] == pytest.approx(math.log(2), abs=1e-4)
    assert all(abs(loss - math.log(2)) > 1e-3 for loss in found[1:])


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_encoded_pairs_train_as_pictures_and_captions_would(weight, image_policy, tmp_path):
    config = settings(sft_weight=weight)
    found = losses(trainer(image_policy, config, encoded(image_policy, "image", config), tmp_path))

    # The same training written out, with everything encoded anew at every step.
    policy, frozen = load_pipeline(image_policy, device="cpu"), load_reference(image_policy, config, "cpu")
    draw = noising(policy.scheduler, config).draw
    rows = [picture_row(n) for n in range(PAIRS)]
    pixels = torch.stack([_pixels(row[side]) for side in ("chosen", "rejected") for row in rows])
    words = policy.tokenizer([row["prompt"] for row in rows], padding="max_length", return_tensors="pt").input_ids
    optimizer = torch.optim.AdamW(policy.unet.parameters(), LR, weight_decay=0)
    expected = []
    for step in range(config.steps):
        drawn = [draw(row["pair_id"], step, (4, 4, 4)) for row in rows]
        with torch.no_grad():
            posterior = policy.vae.encode(pixels).latent_dist
            spread = torch.stack([s[0] for _, _, s in drawn] + [s[1] for _, _, s in drawn])
            clean = (posterior.mean + posterior.std * spread) * policy.vae.config.scaling_factor
            hidden = policy.text_encoder(words).last_hidden_state.repeat(2, 1, 1)
            t = torch.tensor([t for t, _, _ in drawn] * 2)
            noise = torch.stack([n for _, n, _ in drawn] * 2)
            noisy = policy.scheduler.add_noise(clean, noise, t)
            before = frozen(noisy, t, hidden).sample
        after = policy.unet(noisy, t, hidden).sample
        error, reference = ((made - noise).square().mean((1, 2, 3)) for made in (after, before))
        gain = error - reference
        loss = -F.logsigmoid(-config.beta / 2 * (gain[:PAIRS] - gain[PAIRS:])).mean()
        loss = loss + weight * (gain / reference)[:PAIRS].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.unet.parameters(), 1.0)
        optimizer.step()
        expected.append(float(loss.detach()))
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


def _pixels(candidate: dict) -> torch.Tensor:
    image = decode_image(candidate["media"])
    return torch.tensor(list(image.tobytes()), dtype=torch.float32).reshape(*image.size, 3).permute(2, 0, 1) / 127.5 - 1


@pytest.mark.parametrize(("kind", "weight"), [("image", 0.0), ("video", 0.0), ("image", 2.0)])
def test_stored_errors_train_as_a_frozen_copy_would_on_the_same_draws(kind, weight, request, plain_clips, tmp_path):
    path = request.getfixturevalue(f"{kind}_policy")
    config = settings(reference="stored", stored_draws=3, sft_weight=weight)
    batch = encoded(path, kind, config)
    stored = trainer(path, config, batch, tmp_path)
    forwards = []
    stored.model.register_forward_hook(lambda *_: forwards.append(1))
    found = losses(stored)
    assert len(forwards) == config.steps, "the reference ran too"
    assert stored.reference is None
    copied = losses(trainer(path, settings(sft_weight=weight), batch, tmp_path, draws=config))
    assert found == pytest.approx(copied, rel=1e-3, abs=1e-4)


def test_errors_of_another_reference_are_found_out_at_step_0(image_policy, tmp_path):
    config = settings(reference="stored", stored_draws=1)
    batch = encoded(image_policy, "image", config)
    batch["reference"] = batch["reference"].flip(0)
    with pytest.raises(TrainingError, match="not ln 2: the reference is not the policy"):
        trainer(image_policy, config, batch, tmp_path).train()


def test_a_loss_that_is_not_a_number_stops_the_training_and_names_its_pairs(image_policy, tmp_path):
    config = settings()
    batch = encoded(image_policy, "image", config)
    batch["mean"][1] = math.nan
    with pytest.raises(TrainingError, match="micro-batch 0 is nan; its pairs are pair0, pair1"):
        trainer(image_policy, config, batch, tmp_path).train()


def test_a_policy_whose_errors_both_grow_is_stopped(image_policy, tmp_path):
    config = settings(reference="stored", stored_draws=1, guard_patience=1, steps=4)
    batch = encoded(image_policy, "image", config)
    batch["reference"] /= 2
    made = trainer(image_policy, config, batch, tmp_path, start=1)
    with pytest.raises(
        TrainingError, match=r"at step 1 the denoising errors .* more than 50% above the reference's for 1"
    ):
        made.train()
    assert [entry["step"] for entry in made.state.log_history] == [1]
    patient = trainer(
        image_policy, settings(reference="stored", stored_draws=1, guard_patience=0), batch, tmp_path, start=1
    )
    assert len(losses(patient)) == 2


def test_winner_and_loser_are_logged_apart(image_policy, tmp_path):
    config = settings(reference="stored", stored_draws=1)
    batch = encoded(image_policy, "image", config)
    made = trainer(image_policy, config, batch, tmp_path)
    made.train()
    for entry in made.state.log_history[:3]:
        assert entry["winner_reference"] == pytest.approx(float(batch["reference"][:PAIRS].mean()), rel=1e-5)
        assert entry["loser_reference"] == pytest.approx(float(batch["reference"][PAIRS:].mean()), rel=1e-5)
        for side in ("winner", "loser"):
            excess = entry[f"{side}_error"] / entry[f"{side}_reference"] - 1
            assert entry[f"{side}_excess"] == pytest.approx(excess, abs=1e-6)


def test_a_restart_takes_the_draws_of_the_step_it_is_at(image_policy, tmp_path):
    config = settings()
    batch = encoded(image_policy, "image", config)
    made = trainer(image_policy, config, batch, tmp_path, start=2)
    made.train()
    whole = trainer(image_policy, config, batch, tmp_path)
    whole.train()
    first, third = made.state.log_history[0], whole.state.log_history[2]
    assert first["winner_reference"] == pytest.approx(third["winner_reference"], rel=1e-5)


def _outputs(denoiser) -> list[torch.Tensor]:
    """Two passes in training mode."""
    dice = torch.Generator().manual_seed(0)
    latents, words = torch.randn(1, 4, 2, 4, 4, generator=dice), torch.randn(1, 5, 64, generator=dice)
    denoiser.train()
    return [denoiser(latents, torch.tensor([500]), words).sample for _ in range(2)]


def test_a_worker_that_carries_two_shares_draws_for_each_what_its_own_worker_would(image_policy, tmp_path):
    config = settings()
    batch = encoded(image_policy, "image", config)
    alone, both = (losses(trainer(image_policy, config, batch, tmp_path, carried=carried)) for carried in (1, 2))
    assert len(set(alone)) == 3
    assert both == pytest.approx(alone, rel=1e-4)


def test_chance_takes_no_part_in_comparing_a_video_policy_with_its_reference(video_policy):
    untouched = load_pipeline(video_policy, device="cpu").unet
    first, second = _outputs(untouched)
    assert not torch.allclose(first, second, atol=1e-4)
    first, second = _outputs(trainable(untouched, settings()))
    assert torch.equal(first, second)
    assert torch.allclose(first, _outputs(untouched.eval())[0])


def test_recomputed_activations_give_the_same_training(image_policy, tmp_path):
    batch = encoded(image_policy, "image", settings())
    plain, frugal = (
        trainer(image_policy, settings(gradient_checkpointing=on), batch, tmp_path) for on in (False, True)
    )
    assert frugal.model.is_gradient_checkpointing
    assert losses(frugal) == pytest.approx(losses(plain), rel=1e-4)


def test_a_video_policy_that_cannot_recompute_activations_says_so(video_policy):
    unet = load_pipeline(video_policy, device="cpu", only=("unet",)).unet
    with pytest.raises(TrainingError, match="gradient_checkpointing: UNet3DConditionModel has none"):
        trainable(unet, settings(gradient_checkpointing=True))


def test_pairs_of_unlike_size_do_not_share_a_batch(image_policy):
    small, large = picture_row(0), picture_row(1)
    for side in ("chosen", "rejected"):
        image = decode_image(large[side]["media"]).resize((32, 32))
        large[side] = large[side] | {"media": encode_image(image)}
    table = EncodePairs(image_policy, settings(), 0, device="cpu")(
        schema.table_of([small, large], schema.PREFERENCE_PAIR)
    )
    with pytest.raises(TrainingError, match="unlike shapes"):
        collate_encoded(table)


class Spoilt(Batches):
    """Batches of which the third holds a latent that is not a number."""

    def __iter__(self):
        mean = self.batch["mean"].clone()
        mean[0] = math.nan
        return iter([self.batch, self.batch, self.batch | {"mean": mean, "ids": ["bad0", "bad1"]}])


@pytest.mark.parametrize("saves", [False, True])
def test_losses_are_read_together_and_a_bad_one_is_found_before_anything_is_saved(saves, image_policy, tmp_path):
    config = settings(log_steps=10, checkpoint_steps=10)
    batch = encoded(image_policy, "image", config)
    made = trainer(image_policy, config, batch, tmp_path)
    made.args.logging_steps, made.args.save_strategy = 10, "steps" if saves else "no"
    made.get_train_dataloader = lambda: Spoilt(batch, config.steps)
    with pytest.raises(TrainingError, match="micro-batch 2 is nan; its pairs are bad0, bad1"):
        made.train()
    assert not list(tmp_path.glob("checkpoint-*"))

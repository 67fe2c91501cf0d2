import math
from typing import get_args

import pytest
import torch
from datasets import Dataset
from helpers import answer_pair, answer_table, candidate, clip, picture
from trl import DPOConfig, DPOTrainer

from urm_ray.config_policy import ClipConfig
from urm_ray.config_training import LossType, VlmDpoConfig
from urm_ray.media import decode_image, encode_image
from urm_ray.training.answer_pairs import AnswerPairs
from urm_ray.training.callback import TrainingError
from urm_ray.training.encode_once import encode_once
from urm_ray.training.logps import ReferenceLogps, answer_logps
from urm_ray.training.lora import peft_config
from urm_ray.training.vlm_dpo import VlmDpoTrainer, dpo_arguments
from urm_ray.vlms import load_processor, load_vlm

BETA = 0.3


def answer(text) -> dict:
    return candidate(0, media=None, text=text)


ROWS = [
    answer_pair(0, context=[encode_image(picture(10).resize((16, 24)))]),
    answer_pair(1, context=[encode_image(picture(s).resize((32, 16))) for s in (30, 200)], chosen=answer("two cats")),
    answer_pair(2, context=[encode_image(picture(90).resize((8, 16)))], rejected=answer("it is a very long answer")),
]


class Stream:
    """Stands for `ShardBatches`."""

    def __init__(self, batches=(), start: int = 0) -> None:
        self.batches, self.start = batches, start

    def __iter__(self):
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


@pytest.fixture(scope="module")
def processor(vlm_path):
    return load_processor(vlm_path)


@pytest.fixture(scope="module")
def batch(vlm_path, processor) -> dict:
    """The rows with the log-probabilities of the reference, the shipped model."""
    table = ReferenceLogps(vlm_path, VlmDpoConfig(), "r", device="cpu")(answer_table(ROWS))
    return AnswerPairs(processor, reference_digest="r")(table)


def moved(model, by: float = 0.05):
    """A policy that is not its reference any more."""
    dice = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(by * p.std() * torch.randn(p.shape, generator=dice))
    return model


ARGUMENTS = {"use_cpu": True, "report_to": [], "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}
TWO_STEPS = {"max_steps": 2, "logging_steps": 1, "save_strategy": "no", "learning_rate": 1e-3}


def trainer_of(model, processor, folder, stream=None, lora=None, **settings) -> VlmDpoTrainer:
    config = VlmDpoConfig(**{"beta": BETA, "lora": lora, **settings})
    arguments = dpo_arguments(config, **ARGUMENTS, **TWO_STEPS, output_dir=str(folder))
    return VlmDpoTrainer(
        model=model,
        args=arguments,
        processing_class=processor,
        peft_config=peft_config(model, config.lora) if config.lora else None,
        batches=stream or Stream(start=1),
        config=config,
    )


@pytest.fixture(scope="module")
def ours(vlm_path, processor, tmp_path_factory) -> VlmDpoTrainer:
    """A policy away from its reference, in the middle of its training."""
    return trainer_of(moved(load_vlm(vlm_path, device="cpu")[0]), processor, tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(vlm_path, processor, tmp_path_factory) -> tuple[DPOTrainer, dict]:
    """TRL's own trainer with the same policy, a reference in memory, and the same rows, pictures twice."""
    trainer = DPOTrainer(
        model=moved(load_vlm(vlm_path, device="cpu")[0]),
        ref_model=load_vlm(vlm_path, device="cpu")[0],
        args=DPOConfig(**ARGUMENTS, output_dir=str(tmp_path_factory.mktemp("theirs")), beta=BETA, max_length=None),
        processing_class=processor,
        train_dataset=Dataset.from_list([{"images": ["p"], "prompt": "p", "chosen": "c", "rejected": "r"}]),
    )
    examples = []
    for row in ROWS:
        content = [*({"type": "image"} for _ in row["context"]), {"type": "text", "text": row["prompt"]}]
        examples.append(
            {
                "images": [decode_image(media) for media in row["context"]],
                "prompt": processor.apply_chat_template(
                    [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
                ),
                "chosen": row["chosen"]["text"] + "<|im_end|>",
                "rejected": row["rejected"]["text"] + "<|im_end|>",
            }
        )
    return trainer, dict(trainer.data_collator(examples))


def loss_of(trainer, batch) -> torch.Tensor:
    trainer.model.train()
    return trainer.compute_loss(trainer.model, dict(batch))


def test_sums_are_those_of_trl(vlm_path, theirs, batch):
    trainer, inputs = theirs
    chosen, rejected = trainer.compute_ref_log_probs(trainer.ref_model, inputs)
    assert batch["ref_chosen_logps"].tolist() == pytest.approx(chosen.tolist(), abs=1e-4)
    assert batch["ref_rejected_logps"].tolist() == pytest.approx(rejected.tolist(), abs=1e-4)
    policy = moved(load_vlm(vlm_path, device="cpu")[0])
    encode_once(policy)
    with torch.no_grad():
        own = answer_logps(policy, {n: v for n, v in batch.items() if not n.startswith("ref_")})
    # compute_ref_log_probs takes the trainer's policy as well, which has TRL's head.
    wanted = torch.cat(trainer.compute_ref_log_probs(trainer.model, inputs))
    assert own.tolist() == pytest.approx(wanted.tolist(), abs=1e-4)


@pytest.mark.parametrize("loss_type", get_args(LossType))
def test_every_loss_is_that_of_trl(loss_type, ours, theirs, batch):
    trainer, inputs = theirs
    smoothing = 0.1 if loss_type in ("exo_pair", "robust", "aot") else 0.0
    for one in (ours, trainer):
        one.loss_types, one.label_smoothing = [loss_type], smoothing
    with torch.no_grad():
        assert float(loss_of(ours, batch)) == pytest.approx(float(loss_of(trainer, inputs)), rel=1e-4)


def test_the_gradient_is_that_of_trl(ours, theirs, batch):
    trainer, inputs = theirs
    for one, given in ((ours, batch), (trainer, inputs)):
        one.loss_types, one.label_smoothing = ["sigmoid"], 0.0
        one.model.zero_grad()
        loss_of(one, given).backward()
    wanted = {name: p.grad for name, p in trainer.model.named_parameters()}
    assert any("visual" in name and gradient.any() for name, gradient in wanted.items())
    for name, parameter in ours.model.named_parameters():
        # A parameter without influence, such as a bias on all keys, has a gradient of rounding errors alone.
        floor = 1e-6 * max(float(gradient.norm()) for gradient in wanted.values())
        assert float((parameter.grad - wanted[name]).norm()) <= 1e-4 * float(wanted[name].norm()) + floor, name


def test_figures_are_logged_under_trls_names(ours, batch):
    ours._metrics["train"].clear()
    ours.loss_types = ["sigmoid"]
    with torch.no_grad():
        loss_of(ours, batch)
        logps = answer_logps(ours.model, {n: v for n, v in batch.items() if not n.startswith("ref_")})
    chosen, rejected = logps.chunk(2)
    rewards = [BETA * (chosen - batch["ref_chosen_logps"]), BETA * (rejected - batch["ref_rejected_logps"])]
    seen = {}
    ours.callback_handler.on_log = lambda args, state, control, logs: seen.update(logs)
    ours.log({"loss": 0.5})
    assert seen["rewards/chosen"] == pytest.approx(float(rewards[0].mean()), abs=1e-4)
    assert seen["rewards/margins"] == pytest.approx(float((rewards[0] - rewards[1]).mean()), abs=1e-4)
    assert seen["rewards/accuracies"] == pytest.approx(float((rewards[0] > rewards[1]).float().mean()))
    falls = [
        float(((batch[f"ref_{side}_logps"] - own).mean()) / batch[f"ref_{side}_logps"].mean().abs())
        for side, own in (("chosen", chosen), ("rejected", rejected))
    ]
    assert [seen["chosen_fall"], seen["rejected_fall"]] == pytest.approx(falls, abs=1e-4)


def fresh(vlm_path):
    return load_vlm(vlm_path, device="cpu")[0]


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_training_starts_at_ln_2_and_learns_the_pairs(lora, vlm_path, processor, batch, tmp_path):
    trainer = trainer_of(fresh(vlm_path), processor, tmp_path, Stream([batch] * 2), lora)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    losses = [entry["loss"] for entry in logs]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert losses[1] < losses[0] - 1e-3
    assert all(0 <= entry["waiting"] < 0.5 for entry in logs), "batches of a list are there at once"
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    if lora:
        assert changed
        assert all("lora_" in name for name in changed)
        assert not any(".ref." in name for name in before), "TRL keeps a second adapter as the reference"
    else:
        assert changed == set(before)


def test_pictures_clips_and_bare_questions_train_in_one_stream(vlm_path, processor, tmp_path):
    rows = [
        answer_pair(0, context=[clip([10, 200, 60, 90])]),
        answer_pair(1, context=[], prompt="how many?"),
    ]
    clips = ClipConfig(shown="native")
    table = ReferenceLogps(vlm_path, VlmDpoConfig(), "r", clips, device="cpu")(answer_table(rows))
    pairs = AnswerPairs(processor, clips=clips, reference_digest="r")
    stream = Stream([pairs(table.slice(n, 1)) for n in range(2)])
    trainer = trainer_of(fresh(vlm_path), processor, tmp_path, stream)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert all(math.isfinite(loss) for loss in losses)


def test_a_policy_that_is_not_its_reference_is_refused_before_the_first_step(vlm_path, processor, batch, tmp_path):
    trainer = trainer_of(moved(fresh(vlm_path)), processor, tmp_path, Stream([batch] * 2))
    with pytest.raises(TrainingError, match="the reference is not the policy"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_a_training_that_goes_on_need_not_start_at_ln_2(vlm_path, processor, batch, tmp_path):
    trainer = trainer_of(moved(fresh(vlm_path)), processor, tmp_path, Stream([batch] * 2, start=3))
    trainer.train()
    assert trainer.state.global_step == 2


def test_log_probabilities_that_are_no_numbers_stop_the_training(vlm_path, processor, batch, tmp_path):
    model = fresh(vlm_path)
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if "language_model.norm" in name).fill_(float("nan"))
    trainer = trainer_of(model, processor, tmp_path, Stream([batch] * 2))
    with pytest.raises(TrainingError, match="after step 0 are not numbers: lower lr"):
        trainer.train()


def logged(trainer, chosen: float, rejected: float) -> None:
    """One log of a reference at -20 and -30 and a policy at these log-probabilities."""
    for side, own, of in (("chosen", chosen, -20.0), ("rejected", rejected, -30.0)):
        trainer._metrics["train"] |= {f"logps/{side}": [own], f"rewards/{side}": [BETA * (own - of)]}
    trainer.log({"loss": 0.5})


@pytest.fixture
def guarded(vlm_path, processor, tmp_path):
    return trainer_of(fresh(vlm_path), processor, tmp_path, guard_patience=2, guard_ratio=0.5)


def test_a_collapse_of_both_answers_stops_the_training(guarded):
    logged(guarded, -31.0, -46.0)
    with pytest.raises(TrainingError, match="more than 50% below the reference's for 2 logs"):
        logged(guarded, -31.0, -46.0)


@pytest.mark.parametrize("between", [(-31.0, -44.0), (-29.0, -46.0), (-10.0, -90.0)])
def test_one_answer_may_become_improbable(guarded, between):
    for _ in range(3):
        logged(guarded, -31.0, -46.0)
        logged(guarded, *between)


def test_without_patience_nothing_stops(vlm_path, processor, tmp_path):
    trainer = trainer_of(fresh(vlm_path), processor, tmp_path, guard_patience=0)
    for _ in range(5):
        logged(trainer, -300.0, -300.0)

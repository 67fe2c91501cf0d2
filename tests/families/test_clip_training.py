import json
import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline, MotionAdapter
from families import checks, clip_pipelines
from families.clip_pairs import SEED, encoded, pair
from families.clip_pipelines import FAMILIES, SIZES, folder_of
from helpers import ROOT, run_python

from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.checkpoint import load_denoiser, save_policy
from urm_ray.denoisers.registry import family_of
from urm_ray.models import load_pipeline
from urm_ray.training.diffusion_dpo import trainable
from urm_ray.training.encode_pairs import load_reference
from urm_ray.training.guards import TrainingError
from urm_ray.training.losses import diffusion_dpo_loss
from urm_ray.training.noising import Noising, predict
from urm_ray.training.objectives import objective_of

every_family = pytest.mark.parametrize("family", FAMILIES)


def rows(family: str) -> list[dict[str, Any]]:
    return [pair(family, number) for number in range(2)]


@cache
def trained(family: str, kind: str, folder: Path) -> Any:
    train = checks.one_step_moves_every_parameter if kind == "full" else checks.adapters_move_and_nothing_else
    return train(folder_of(family), rows(family), str(folder))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("training")


@every_family
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_training_moves_every_parameter_that_it_should(family, kind, scratch):
    trained(family, kind, scratch)


def sample(pipeline: DiffusionPipeline, family: str) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    height, width, frames = SIZES[family]
    dice = torch.Generator().manual_seed(1)
    return pipeline(
        "a red circle", height=height, width=width, num_frames=frames, num_inference_steps=2, guidance_scale=3.0,
        generator=dice, output_type="np",
    ).frames[0]  # fmt: skip


@every_family
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_trained_policy_is_a_folder_that_diffusers_alone_reads(family, kind, scratch, tmp_path):
    denoiser = trained(family, kind, scratch)
    save_policy(folder_of(family), denoiser, str(tmp_path))
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".safetensors", ".txt"}
    before = DiffusionPipeline.from_pretrained(folder_of(family))
    after = DiffusionPipeline.from_pretrained(str(tmp_path), use_safetensors=True)
    untrained = sample(before, family)
    setattr(before, family_of(folder_of(family)).denoiser, denoiser.eval())
    assert np.allclose(sample(after, family), sample(before, family), atol=1e-5)
    assert np.abs(sample(after, family) - untrained).max() > 1e-3


@every_family
def test_the_loss_is_that_of_diffusers_own_noise_and_targets(family):
    path, beta = folder_of(family), 500.0
    ours, batch = family_of(path), encoded(family)
    pipeline, config = load_pipeline(path, device="cpu"), DpoConfig()
    policy, reference = (getattr(pipeline, ours.denoiser), load_denoiser(path))
    with torch.no_grad():
        for weight in policy.parameters():
            weight.mul_(1.02)
    noising = Noising(objective_of(pipeline.scheduler, config, ours.tokens), config, SEED)
    noised = noising(batch["mean"], batch["std"], batch["ids"], [3, 4])
    with torch.no_grad():
        one, other = (predict(ours, model, noised, batch["conditioning"]) for model in (policy, reference))
        found = diffusion_dpo_loss(one, other, noised.target, beta)

    both = {name: torch.cat([value, value]) for name, value in batch["conditioning"].items()}
    error = []
    for model in (policy, reference):
        for n in range(4):  # winners, then losers; one clip at a time
            time, noise, spread = noising.draw(batch["ids"][n % 2], 3 + n % 2, batch["mean"].shape[1:])
            clean = (batch["mean"][n] + batch["std"][n] * spread[n // 2])[None]
            when = torch.tensor([time])
            if family in ("wan", "ltx"):
                noisy, target = torch.lerp(clean, noise[None], time / 1000), noise - clean
            else:
                noisy = pipeline.scheduler.add_noise(clean, noise[None], when)
                target = noise[None]
                if family == "cogvideox":
                    target = pipeline.scheduler.get_velocity(clean, noise[None], when)
            told = {name: value[n : n + 1] for name, value in both.items()}
            with torch.no_grad():
                predicted = ours.predict(model, noisy, when, told)
            error.append(float(F.mse_loss(predicted, target)))  # over all axes of the clip
    gain = torch.tensor(error[:4]) - torch.tensor(error[4:])
    expected = -F.logsigmoid(-beta / 2 * (gain[:2] - gain[2:])).mean()
    assert float(found.loss) == pytest.approx(float(expected), rel=1e-3)
    assert abs(float(expected) - np.log(2)) > 1e-3


@every_family
def test_stored_errors_of_the_reference_start_at_ln_2(family, tmp_path):
    _, losses, _ = checks.trained(folder_of(family), rows(family), str(tmp_path), reference="stored", stored_draws=2)
    assert losses[0] == pytest.approx(np.log(2), abs=1e-4)


@every_family
def test_policy_and_reference_round_alike_in_bfloat16_and_chance_takes_no_part(family):
    path, config = folder_of(family), DpoConfig(bf16=True)
    policy = trainable(load_denoiser(path), config).train()
    for weight in policy.parameters():  # as DeepSpeed casts it: its buffers stay in float32
        weight.data = weight.data.to(torch.bfloat16)
    reference, ours, batch = load_reference(path, config, "cpu"), family_of(path), encoded(family)
    scheduler = load_pipeline(path, device="cpu", only=("scheduler",)).scheduler
    noised = Noising(objective_of(scheduler, config, ours.tokens), config, SEED)(
        batch["mean"], batch["std"], batch["ids"], [0, 0]
    )
    with torch.no_grad():
        one, other, again = (
            predict(ours, model, noised, batch["conditioning"]) for model in (policy, reference, policy)
        )
    assert one.dtype == torch.bfloat16
    assert torch.equal(one, other)
    assert torch.equal(one, again)


@pytest.mark.train
@pytest.mark.parametrize("stage", [pytest.param(2, marks=pytest.mark.long), 3])
def test_deepspeed_trains_every_family_in_bfloat16(stage, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ("tests/families/zero_steps.py", str(stage), str(port), str(tmp_path))
    done = run_python(*arguments, PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    found = [line for line in done.stdout.splitlines() if line.startswith("LOSSES ")]
    assert found, done.stderr[-3000:]
    losses = json.loads(found[0].removeprefix("LOSSES "))
    assert losses.keys() == FAMILIES.keys()
    for first, second in losses.values():
        assert first == pytest.approx(np.log(2), abs=1e-4)
        assert abs(second - np.log(2)) > 1e-3


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"text_to_video"}))
def test_gradients_are_the_same_with_checkpointing(family):
    path, batch = folder_of(family), encoded(family)
    ours, scheduler = family_of(path), load_pipeline(path, device="cpu", only=("scheduler",)).scheduler
    found = []
    for checkpointing in (False, True):
        config = DpoConfig(gradient_checkpointing=checkpointing)
        model = trainable(load_denoiser(path), config).train()
        noised = Noising(objective_of(scheduler, config, ours.tokens), config, SEED)(
            batch["mean"], batch["std"], batch["ids"], [0, 0]
        )
        F.mse_loss(predict(ours, model, noised, batch["conditioning"]), noised.target).backward()
        found.append({name: weight.grad for name, weight in model.named_parameters()})
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-6) for name in found[0])


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_the_motion_of_animatediff_may_be_trained_alone(kind, tmp_path):
    changes = {"lora": {"rank": 2}, "steps": 2} if kind == "lora" else {}
    path, only = folder_of("animatediff"), {"train_only": ["motion_modules"]}
    model, _, still = checks.trained(path, rows("animatediff"), str(tmp_path), **only, **changes)
    assert still == []
    if kind == "lora":
        model = model.merge_and_unload()
    before = load_denoiser(path).state_dict()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    motion = {name for name, _ in model.named_parameters() if "motion_modules" in name}
    assert moved == (motion & linear if kind == "lora" else motion)


def test_what_is_to_be_trained_alone_has_to_be_there():
    with pytest.raises(TrainingError, match="no parameter of WanTransformer3DModel has motion_modules in its name"):
        trainable(load_denoiser(folder_of("wan")), DpoConfig(train_only=["motion_modules"]))
    with pytest.raises(ValueError, match="leave one out"):
        DpoConfig(train_only=["motion_modules"], lora={"targets": ["to_q"]})


def test_the_motion_adapter_of_animatediff_is_saved_as_it_was_trained(scratch, tmp_path):
    denoiser = trained("animatediff", "full", scratch)
    save_policy(folder_of("animatediff"), denoiser, str(tmp_path))
    adapter = MotionAdapter.from_pretrained(tmp_path / "motion_adapter").state_dict()
    state = denoiser.state_dict()
    assert adapter.keys() == {name for name in state if "motion_modules" in name}
    assert all(torch.equal(adapter[name], state[name]) for name in adapter)


def test_a_picture_unet_and_a_motion_adapter_that_lie_apart_are_joined(tmp_path):
    apart, joined = tmp_path / "apart", tmp_path / "joined"
    unjoined = clip_pipelines.animatediff_apart()
    for name, part in unjoined.items():
        part.save_pretrained(apart / name)
    index = {name: list(library(part)) for name, part in unjoined.items()}
    (apart / "model_index.json").write_text(json.dumps({"_class_name": "AnimateDiffPipeline"} | index))

    before = sample(DiffusionPipeline.from_pretrained(str(apart)), "animatediff")
    save_policy(str(apart), load_denoiser(str(apart)), str(joined))
    assert np.array_equal(sample(DiffusionPipeline.from_pretrained(str(joined)), "animatediff"), before)
    assert checks.trained(str(apart), rows("animatediff"), str(tmp_path))[2] == []


def library(part: Any) -> tuple[str, str]:
    return type(part).__module__.split(".")[0], type(part).__name__

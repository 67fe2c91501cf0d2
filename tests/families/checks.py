"""What every family of diffusion policies has to hold, whatever it makes; each check takes a checkpoint's folder."""

from __future__ import annotations

import gc
import inspect
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import TrainingArguments

from urm_ray import schema
from urm_ray.config_policy import SamplerConfig
from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.checkpoint import load_denoiser
from urm_ray.denoisers.registry import family_of
from urm_ray.models import load_pipeline
from urm_ray.training.diffusion_dpo import DiffusionDpoTrainer, trainable
from urm_ray.training.encode_pairs import EncodePairs, load_reference
from urm_ray.training.encoded import collate_encoded, stack_named, unpack
from urm_ray.training.noising import Noising
from urm_ray.training.objectives import objective_of

SEED = 5
IGNORED = ("return_dict", "joint_attention_kwargs", "attention_kwargs", "cross_attention_kwargs")


def told(denoiser: torch.nn.Module, work: Callable[[], Any]) -> dict[str, Any]:
    """What a denoiser is told first in some work, by the names of its arguments, without what is None."""
    signature, calls = inspect.signature(denoiser.forward), []

    def keep(_: Any, args: Any, kwargs: Any) -> None:
        calls.append(dict(signature.bind(*args, **kwargs).arguments))

    hook = denoiser.register_forward_pre_hook(keep, with_kwargs=True)
    work()
    hook.remove()
    inner = calls[0].pop("added_cond_kwargs", None) or {}
    return {name: value for name, value in (calls[0] | inner).items() if value is not None and name not in IGNORED}


def encoded(path: str, rows: list[dict[str, Any]], config: DpoConfig, sampler: SamplerConfig | None = None) -> pa.Table:
    encode = EncodePairs(path, config, SEED, "cpu", sampler or SamplerConfig())
    made = encode(schema.table_of(rows, schema.PREFERENCE_PAIR))
    assert made["dropped"].to_pylist() == [None] * len(rows)
    return made


@torch.inference_mode()
def told_in_training_as_in_sampling(
    path: str, row: dict[str, Any], sampler: SamplerConfig, **options: Any
) -> dict[str, Any]:
    """The denoiser gets the very same arguments when it is trained as in the pipeline's own first step, from the same
    noise and at the same time; returns them."""
    pipeline, family = load_pipeline(path, device="cpu"), family_of(path)
    denoiser, scheduler = getattr(pipeline, family.denoiser), pipeline.scheduler
    made = encoded(path, [row], DpoConfig(), sampler)
    dice = torch.Generator().manual_seed(1)
    expected = told(
        denoiser,
        lambda: pipeline(
            [row["prompt"]], num_inference_steps=2, guidance_scale=sampler.guidance, generator=[dice], **options
        ),
    )
    shape = unpack(made["chosen_mean"][0]).shape
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(1)) * getattr(
        scheduler, "init_noise_sigma", 1
    )
    time, noisy = scheduler.timesteps[:1], noise
    if hasattr(scheduler, "scale_model_input"):
        scheduler.set_timesteps(2)  # from the start again
        noisy = scheduler.scale_model_input(noise, time[0])
    conditions = stack_named(made["conditioning"])
    found = told(denoiser, lambda: family.predict(denoiser, noisy, time, conditions))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert torch.allclose(found[name].float(), value.float().expand(found[name].shape), atol=1e-5), name
        else:
            assert found[name] == value, name
    return expected


@torch.inference_mode()
def latents_are_decoded_as_they_were_encoded(
    path: str, row: dict[str, Any], pixels: torch.Tensor, pack: Callable[[torch.Tensor], torch.Tensor], **options: Any
) -> None:
    """What the pipeline decodes the latents to is what its autoencoder makes of its own; pack: to its layout."""
    pipeline = load_pipeline(path, device="cpu")
    latents = pack(unpack(encoded(path, [row], DpoConfig())["chosen_mean"][0])[None])
    made = pipeline(
        [row["prompt"]],
        num_inference_steps=1,
        guidance_scale=1.0,
        output_type="pt",
        callback_on_step_end=lambda *_: {"latents": latents},
        generator=[torch.Generator().manual_seed(0)],
        **options,
    )
    direct = pipeline.vae.decode(pipeline.vae.encode(pixels).latent_dist.mean).sample
    assert torch.allclose(made[0], (direct / 2 + 0.5).clamp(0, 1), atol=1e-4)


class Batches:
    """The same micro-batch at every step."""

    start = 0

    def __init__(self, batch: dict[str, Any], steps: int) -> None:
        self.batch, self.steps = batch, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Any:
        return iter([self.batch] * self.steps)


def trained(
    path: str, rows: list[dict[str, Any]], folder: str, sampler: SamplerConfig | None = None, **settings: Any
) -> tuple[Any, list[float], list[str]]:
    """(the model after a training on one batch, its losses, names of trainable parameters that have not moved)."""
    config = DpoConfig(**{"beta": 100.0, "steps": 1, "log_steps": 1, "checkpoint_steps": 1, "lr": 1e-3} | settings)
    family, scheduler = family_of(path), load_pipeline(path, device="cpu", only=("scheduler",)).scheduler
    arguments = TrainingArguments(
        output_dir=folder, max_steps=config.steps, learning_rate=config.lr, lr_scheduler_type="constant", use_cpu=True,
        save_strategy="no", logging_steps=1, report_to=[], disable_tqdm=True, remove_unused_columns=False,
        logging_nan_inf_filter=False,
    )  # fmt: skip
    model = trainable(load_denoiser(path), config)
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    trainer = DiffusionDpoTrainer(
        model=model,
        args=arguments,
        family=family,
        batches=Batches(collate_encoded(encoded(path, rows, config, sampler)), config.steps),
        noising=Noising(objective_of(scheduler, config, family.tokens), config, SEED),
        reference=load_reference(path, config, "cpu") if config.reference == "copy" else None,
        config=config,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda *_: 0)  # the trainer's, at its end, would take most of the time
        trainer.train()
    after = dict(trainer.model.named_parameters())
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return trainer.model, losses, [name for name, value in before.items() if torch.equal(value, after[name])]


def one_step_moves_every_parameter(path: str, rows: list[dict[str, Any]], folder: str, **settings: Any) -> Any:
    """Returns the trained model."""
    model, losses, still = trained(path, rows, folder, **settings)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert still == []
    idle = family_of(path).idle
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    assert {name.rpartition(".")[0] for name in frozen} == set(idle)
    return model


def adapters_move_and_nothing_else(path: str, rows: list[dict[str, Any]], folder: str, **settings: Any) -> Any:
    """Two steps, since one half of an adapter starts as zeros and holds the other still in the first; returns the
    trained model with its adapters merged."""
    adapters = {"lora": {"rank": 2, "alpha": 4}, "reference": "adapter_off", "steps": 2}
    model, losses, still = trained(path, rows, folder, **adapters | settings)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert losses[1] != pytest.approx(math.log(2), abs=1e-6)
    assert still == []
    moving = [name for name, value in model.named_parameters() if value.requires_grad]
    assert moving
    assert all("lora_" in name for name in moving)
    merged, before = model.merge_and_unload(), load_denoiser(path).state_dict()
    changed = {name for name, value in merged.state_dict().items() if not torch.equal(before[name], value)}
    assert changed == {name.split("base_model.model.")[1].split(".lora_")[0] + ".weight" for name in moving}
    return merged

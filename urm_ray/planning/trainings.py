"""Memory of a training on one GPU, for each ZeRO stage, with and without gradient checkpointing, by micro-batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from urm_ray.config_training import DpoConfig, RewardConfig, TrainConfig, VlmDpoConfig
from urm_ray.denoisers.family import Conditioning, Family
from urm_ray.planning.architectures import VLM, Architecture
from urm_ray.planning.denoiser_passes import dpo_pass
from urm_ray.planning.geometry import Eyes
from urm_ray.planning.questions import Chat
from urm_ray.planning.rehearsal import Rehearsal, extended
from urm_ray.planning.shots import Shots
from urm_ray.planning.skeleton import parameter_bytes, quiet, skeleton
from urm_ray.planning.states import states
from urm_ray.planning.vlm_passes import Batch, training_pass
from urm_ray.training.diffusion_dpo import trainable
from urm_ray.training.guards import TrainingError
from urm_ray.training.lora import add_lora
from urm_ray.vlms import before_language

Stage = Literal[0, 1, 2, 3]
STAGES: tuple[Stage, ...] = get_args(Stage)
MICRO_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
_REHEARSED = (1, 2)
"""Micro-batches that are rehearsed, for `extended`."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU at the fullest moment of a backward pass, and `step`, when the optimizer steps."""

    weights: float
    """The model's, and those of a frozen reference."""
    optimizer: float
    gradients: float
    """With the buckets they go through, and what ZeRO-3 has gathered."""
    activations: float
    step: float

    @property
    def peak(self) -> float:
        return max(self.weights + self.optimizer + self.gradients + self.activations, self.step)


@dataclass(frozen=True)
class Training:
    """A training as far as its memory and its work go. trained, frozen: parameters; beside: bytes of a reference."""

    config: TrainConfig
    trained: int
    frozen: int
    beside: int
    rehearsed: Mapping[tuple[bool, int], Rehearsal] = field(repr=False)
    """By gradient checkpointing and micro-batch; without it alone where the model has none."""

    def memory(self, stage: Stage, checkpointing: bool, batch: int) -> Memory:
        """KeyError where the model has no gradient checkpointing."""
        held = states(self.trained, self.frozen, self.config.model_copy(update={"zero_stage": stage}))
        run = extended(self.rehearsed[checkpointing, 1], self.rehearsed[checkpointing, 2], batch)
        alone, with_gradients = run.peak(), run.peak(held.growing, held.reducing)
        weights = held.weights + self.beside
        return Memory(
            weights=weights,
            optimizer=held.optimizer,
            gradients=held.kept + held.buffers + with_gradients - alone,
            activations=alone,
            step=weights + held.optimizer + held.step,
        )

    def as_configured(self) -> Memory:
        config = self.config
        return self.memory(config.zero_stage, config.gradient_checkpointing, config.batch)

    @property
    def can_checkpoint(self) -> bool:
        return (True, 1) in self.rehearsed

    def largest(self, stage: Stage, checkpointing: bool, usable: float) -> int:
        """The largest micro-batch of MICRO_BATCHES that fits into so many bytes; 0 where none does."""
        tried = sorted({*MICRO_BATCHES, self.config.batch})
        fits = (rows for rows in tried if self.memory(stage, checkpointing, rows).peak <= usable)
        return max(fits, default=0)

    def flops(self, checkpointing: bool) -> float:
        """Of one row of the rehearsed kind, forward and backward."""
        return self.rehearsed[checkpointing and self.can_checkpoint, 1].flops


def vlm_training(
    architecture: Architecture, eyes: Eyes | None, config: RewardConfig | VlmDpoConfig, chat: Chat, answers: int = 1
) -> Training:
    """SFT (a row is a chat with its answer) or DPO (a row is a pair, two sequences about the same chat)."""
    made: dict[tuple[bool, int], Rehearsal] = {}
    trained = frozen = 0
    once = config.attention in (None, "sdpa", "eager")
    for checkpointing in (False, True):
        model = skeleton(architecture, VLM, "bfloat16" if config.bf16 else "float32")
        if config.attention:
            model.set_attn_implementation(config.attention if config.attention == "eager" else "sdpa")
        if checkpointing:
            with quiet():
                model.gradient_checkpointing_enable()
        for _, parameter in before_language(model):
            parameter.requires_grad = config.train_vision
        if config.lora:
            add_lora(model, config.lora)
        trained, frozen = _counts(model)
        for rows in _REHEARSED:
            tokens = chat.tokens + chat.predicted
            batch = Batch((chat.looks,) * rows, tokens, chat.predicted, answers, once)
            made[checkpointing, rows] = training_pass(model, eyes, batch)
    return Training(config, trained, frozen, 0, made)


def denoiser_training(
    architecture: Architecture, family: Family, config: DpoConfig, made: Shots, told: Conditioning
) -> Training:
    """Diffusion-DPO; a row is a pair."""
    dtype = "bfloat16" if config.bf16 else "float32"
    reference = skeleton(architecture, family.denoiser, dtype) if config.reference == "copy" else None
    rehearsed: dict[tuple[bool, int], Rehearsal] = {}
    trained = frozen = 0
    for checkpointing in (False, True):
        settings = config.model_copy(update={"gradient_checkpointing": checkpointing})
        try:
            denoiser = trainable(skeleton(architecture, family.denoiser, dtype), settings)
        except TrainingError:
            if checkpointing:
                continue  # this kind of model has none
            raise
        trained, frozen = _counts(denoiser)
        for rows in _REHEARSED:
            one = settings.model_copy(update={"batch": rows})
            rehearsed[checkpointing, rows] = dpo_pass(family, denoiser, reference, made, told, one)
    return Training(config, trained, frozen, parameter_bytes(reference) if reference else 0, rehearsed)


def _counts(model: Any) -> tuple[int, int]:
    """Parameters that are trained, and others."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trained, sum(p.numel() for p in model.parameters()) - trained


Fit = tuple[Stage, bool, int]
"""ZeRO stage, gradient checkpointing, micro-batch."""


def choice(training: Training, usable: float) -> Fit | None:
    """What fits best: the micro-batch of the configuration, or the largest below it; without gradient checkpointing,
    which costs a third more time; with the configured ZeRO stage, or the first other. None where nothing fits."""
    config = training.config
    stages = sorted(STAGES, key=lambda stage: (stage != config.zero_stage, stage == 0, stage))
    checkpointing = (False, True) if training.can_checkpoint else (False,)
    options = [(stage, c, training.largest(stage, c, usable)) for c in checkpointing for stage in stages]
    able = [(stage, c, min(most, config.batch)) for stage, c, most in options if most]
    return max(able, key=lambda fit: fit[2], default=None)  # of equal ones the first

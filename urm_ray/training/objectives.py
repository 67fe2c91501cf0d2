"""What a denoiser was taught to predict, and at which times: epsilon, v or the velocity of a flow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from urm_ray.config_training import DpoConfig
from urm_ray.training.guards import TrainingError

PREDICTIONS = ("epsilon", "v_prediction")
Tokens = Callable[[Sequence[int]], int]


@dataclass(frozen=True)
class Noised:
    """Noisy latents (2B, ...), their timesteps (2B,) and what is to be predicted (2B, ...), winners first."""

    noisy: torch.Tensor
    timesteps: torch.Tensor
    target: torch.Tensor


class Objective(Protocol):
    def draw(self, dice: torch.Generator, shape: Sequence[int]) -> float:
        """A timestep for latents of this shape (C, ...), on the scale that the denoiser is told of."""

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> Noised:
        """latents, noise: (2B, ...); timesteps: (2B,), on the CPU."""


def objective_of(scheduler: Any, config: DpoConfig, tokens: Tokens = math.prod) -> Objective:
    """The objective that a policy's scheduler of diffusers stands for; TrainingError where it is none of the three.

    tokens: of latents of a shape, for schedulers whose shift depends on it (`Family.tokens`).
    """
    # First, since some schedulers of flows keep a variance that they do not use.
    if type(scheduler).__name__.startswith("FlowMatch") or scheduler.config.get("prediction_type") == "flow_prediction":
        return Flow(scheduler, config, tokens)
    return Variance(scheduler, config)


class Variance:
    """x_t = sqrt(a_t) x + sqrt(1 - a_t) e, with t a whole number and a_t the scheduler's `alphas_cumprod`.

    The target is e (epsilon, arXiv 2006.11239) or sqrt(a_t) e - sqrt(1 - a_t) x (v_prediction, arXiv 2202.00512).

    With a zero terminal SNR, of the scheduler's own (`rescale_betas_zero_snr`) or by `zero_terminal_snr`, the last x_t
    is noise and nothing else. A v there is -x, and taught like any other. An epsilon is taught nothing: winner and
    loser look the same and have the same target, so their errors cancel and the loss of that timestep is ln 2 for
    good. TrainingError where no other timestep can be drawn.
    """

    def __init__(self, scheduler: Any, config: DpoConfig) -> None:
        self.prediction = scheduler.config.get("prediction_type")
        alphas = getattr(scheduler, "alphas_cumprod", None)
        if self.prediction not in PREDICTIONS or alphas is None:
            raise TrainingError(
                f"Diffusion-DPO needs a scheduler that predicts {' or '.join(PREDICTIONS)} with a fixed variance at "
                f"each timestep, or one that matches flows, not {type(scheduler).__name__} with prediction type "
                f"{self.prediction}"
            )
        self.alphas: torch.Tensor = without_terminal_signal(alphas) if config.zero_terminal_snr else alphas
        self.range = (config.min_timestep, len(alphas) if config.max_timestep is None else config.max_timestep)
        self.timesteps = config.timesteps
        if not self.range[0] < self.range[1] <= len(alphas):
            asked = f"from {self.range[0]} up to {self.range[1]}"
            raise TrainingError(f"no timestep can be drawn {asked}: the scheduler has {len(alphas)}")
        beyond = [t for t in self.timesteps or [] if not 0 <= t < len(alphas)]
        if beyond:
            raise TrainingError(f"timesteps: {beyond} cannot be drawn: the scheduler has 0 to {len(alphas) - 1}")
        drawn = torch.tensor(self.timesteps) if self.timesteps else torch.arange(*self.range)
        if self.prediction == "epsilon" and (self.alphas[drawn] <= 2**-24).all():  # what some schedulers leave for 0
            raise TrainingError(
                "every timestep that can be drawn is pure noise, from which a policy that predicts epsilon learns "
                "nothing: draw others as well, or leave zero_terminal_snr out"
            )

    def draw(self, dice: torch.Generator, shape: Sequence[int]) -> int:
        if self.timesteps:
            return self.timesteps[int(torch.randint(len(self.timesteps), (1,), generator=dice))]
        return int(torch.randint(*self.range, (1,), generator=dice))

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> Noised:
        alphas = self.alphas[timesteps].to(latents.device, latents.dtype).reshape(-1, *[1] * (latents.ndim - 1))
        signal, sigma = alphas**0.5, (1 - alphas) ** 0.5
        target = noise if self.prediction == "epsilon" else signal * noise - sigma * latents
        return Noised(signal * latents + sigma * noise, timesteps.to(latents.device), target)


def without_terminal_signal(alphas: torch.Tensor) -> torch.Tensor:
    """Cumulated alphas (T,) rescaled so that the last is 0 and the first stays (arXiv 2305.08891, algorithm 1)."""
    roots = alphas.sqrt()
    return ((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2


class Flow:
    """x_s = (1 - s) x + s e, and the target is e - x (arXiv 2403.03206); the timestep is s times 1000, or however many
    the scheduler counts.

    s is drawn by `flow_density`, uniform or logit-normal, and then shifted as the scheduler shifts its own: by `shift`,
    `flow_shift`, or for `use_dynamic_shifting` by how many tokens the latents are. Timesteps lie above `min_timestep`
    and up to `max_timestep`: of the density, the part that lies there is drawn from. Those that are listed in
    `timesteps` are taken as they are.
    """

    def __init__(self, scheduler: Any, config: DpoConfig, tokens: Tokens) -> None:
        self.scheduler, self.tokens, self.config = scheduler.config, tokens, config
        self.number: int = scheduler.config.num_train_timesteps
        if scheduler.config.get("invert_sigmas"):
            raise TrainingError(f"{type(scheduler).__name__} with invert_sigmas counts time the other way round")
        if config.zero_terminal_snr:
            raise TrainingError("zero_terminal_snr: a flow ends in pure noise as it is; leave it out")
        highest = self.number if config.max_timestep is None else config.max_timestep
        self.range = config.min_timestep / self.number, highest / self.number
        if not 0 <= self.range[0] < self.range[1] <= 1:
            asked = f"from {config.min_timestep} up to {highest}"
            raise TrainingError(f"no timestep can be drawn {asked}: the scheduler has {self.number}")
        beyond = [t for t in config.timesteps or [] if not 0 < t <= self.number]
        if beyond:
            raise TrainingError(f"timesteps: {beyond} cannot be drawn: the scheduler has 1 to {self.number}")

    def draw(self, dice: torch.Generator, shape: Sequence[int]) -> float:
        if self.config.timesteps:
            return float(self.config.timesteps[int(torch.randint(len(self.config.timesteps), (1,), generator=dice))])
        shift = self.shift(shape)
        low, high = (self._density(_unshifted(s, shift)) for s in self.range)
        part = 1 - torch.rand((1,), generator=dice, dtype=torch.float64)  # above 0 and up to 1
        s = self._quantile(low + float(part) * (high - low))
        return self.number * shift * s / (1 + (shift - 1) * s)

    def shift(self, shape: Sequence[int]) -> float:
        """The factor by which odds of noise, s / (1 - s), are multiplied."""
        c = self.scheduler
        if not c.get("use_dynamic_shifting"):
            return c.get("flow_shift") or c.get("shift") or 1.0
        few, many = c.get("base_image_seq_len", 256), c.get("max_image_seq_len", 4096)
        low, high = c.get("base_shift", 0.5), c.get("max_shift", 1.15)
        mu = low + (high - low) * (self.tokens(shape) - few) / (many - few)
        return mu if c.get("time_shift_type") == "linear" else math.exp(mu)

    def _density(self, s: float) -> float:
        """How much of the density lies below s."""
        if self.config.flow_density == "uniform" or not 0 < s < 1:
            return s
        odds = torch.logit(torch.tensor(s, dtype=torch.float64))
        return float(torch.special.ndtr((odds - self.config.logit_mean) / self.config.logit_std))

    def _quantile(self, part: float) -> float:
        """The s below which this part of the density lies."""
        if self.config.flow_density == "uniform":
            return part
        normal = torch.special.ndtri(torch.tensor(part, dtype=torch.float64))
        return float(torch.sigmoid(self.config.logit_mean + self.config.logit_std * normal))

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> Noised:
        s = (timesteps / self.number).to(latents.device, latents.dtype).reshape(-1, *[1] * (latents.ndim - 1))
        return Noised((1 - s) * latents + s * noise, timesteps.to(latents.device), noise - latents)


def _unshifted(s: float, shift: float) -> float:
    return s / (shift - (shift - 1) * s)

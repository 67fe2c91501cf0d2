"""Clean latents to what a diffusion model sees and has to predict, with every draw made from ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from urm_ray.config_training import DpoConfig
from urm_ray.schema import seed_of
from urm_ray.training.guards import TrainingError

PREDICTIONS = ("epsilon", "v_prediction")


@dataclass(frozen=True)
class Noised:
    """Noisy latents (2B, ...), their timesteps (2B,) and what is to be predicted (2B, ...), winners first."""

    noisy: torch.Tensor
    timesteps: torch.Tensor
    target: torch.Tensor


def predict(denoiser: Any, noised: Noised, embedding: torch.Tensor) -> torch.Tensor:
    """The denoiser's prediction (2B, ...) in its own type, from the embeddings (B, L, D) of the pairs' prompts."""
    dtype = next(denoiser.parameters()).dtype
    words = torch.cat([embedding, embedding]).to(dtype)
    return denoiser(noised.noisy.to(dtype), noised.timesteps, words).sample


class Noising:
    """Adds noise as the policy's scheduler does; winner and loser of a pair share noise and timestep.

    scheduler: one of diffusers' that keeps a variance (`alphas_cumprod`), so that x_t = sqrt(a_t) x + sqrt(1 - a_t) e.
    The target is e (epsilon) or sqrt(a_t) e - sqrt(1 - a_t) x (v_prediction, arXiv 2202.00512). TrainingError for
    schedulers of another kind, such as flow matching.
    """

    def __init__(self, scheduler: Any, config: DpoConfig, seed: int) -> None:
        self.prediction = scheduler.config.get("prediction_type")
        alphas = getattr(scheduler, "alphas_cumprod", None)
        if self.prediction not in PREDICTIONS or alphas is None:
            raise TrainingError(
                f"Diffusion-DPO needs a scheduler that predicts {' or '.join(PREDICTIONS)} with a fixed variance at "
                f"each timestep, not {type(scheduler).__name__} with prediction type {self.prediction}"
            )
        self.alphas: torch.Tensor = alphas
        self.timesteps = (config.min_timestep, len(alphas) if config.max_timestep is None else config.max_timestep)
        if not self.timesteps[0] < self.timesteps[1] <= len(alphas):
            asked = f"from {self.timesteps[0]} up to {self.timesteps[1]}"
            raise TrainingError(f"no timestep can be drawn {asked}: the scheduler has {len(alphas)}")
        self.draws = config.stored_draws if config.reference == "stored" else None
        self.seed = seed

    def number(self, pair_id: str, step: int) -> int:
        """Which draw a pair gets at a step: a new one each time, or one of those whose reference is stored."""
        return step if self.draws is None else seed_of("dpo draw", self.seed, pair_id, step) % self.draws

    def draw(self, pair_id: str, number: int, shape: Sequence[int]) -> tuple[int, torch.Tensor, torch.Tensor]:
        """Timestep, noise (shape), and where in the posterior the winner's and loser's latents lie (2, shape)."""
        dice = torch.Generator().manual_seed(seed_of("dpo", self.seed, pair_id, number))
        timestep = int(torch.randint(*self.timesteps, (1,), generator=dice))
        return timestep, torch.randn(tuple(shape), generator=dice), torch.randn(2, *shape, generator=dice)

    def __call__(self, mean: torch.Tensor, std: torch.Tensor, ids: Sequence[str], numbers: Sequence[int]) -> Noised:
        """Draws and noises latents. mean, std: their posterior (2B, ...), winners first; ids, numbers: of B pairs."""
        device = mean.device
        drawn = [self.draw(pair_id, number, mean.shape[1:]) for pair_id, number in zip(ids, numbers, strict=True)]
        timesteps = torch.tensor([timestep for timestep, _, _ in drawn]).repeat(2)
        noise = torch.stack([noise for _, noise, _ in drawn] * 2).to(device)
        spread = torch.stack([spread[side] for side in (0, 1) for _, _, spread in drawn]).to(device)
        latents = mean + std * spread
        alphas = self.alphas[timesteps].to(device, latents.dtype).reshape(-1, *[1] * (latents.ndim - 1))
        signal, sigma = alphas**0.5, (1 - alphas) ** 0.5
        target = noise if self.prediction == "epsilon" else signal * noise - sigma * latents
        return Noised(signal * latents + sigma * noise, timesteps.to(device), target)

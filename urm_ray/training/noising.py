"""Clean latents to what a denoiser sees and has to predict, with every draw made from ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.family import Conditioning, Family
from urm_ray.schema import seed_of
from urm_ray.training.objectives import Noised, Objective


def predict(family: Family, denoiser: Any, noised: Noised, conditioning: Conditioning) -> torch.Tensor:
    """The denoiser's prediction (2B, ...) in its own type, under the conditions (B, ...) of the pairs' prompts."""
    both = {name: torch.cat([value, value]) for name, value in conditioning.items()}
    return family.predict(denoiser, noised.noisy, noised.timesteps, both)


class Noising:
    """Adds noise as the policy's objective says; winner and loser of a pair share noise and timestep."""

    def __init__(self, objective: Objective, config: DpoConfig, seed: int) -> None:
        self.objective = objective
        self.draws = config.stored_draws if config.reference == "stored" else None
        self.seed = seed

    def number(self, pair_id: str, step: int) -> int:
        """Which draw a pair gets at a step: a new one each time, or one of those whose reference is stored."""
        return step if self.draws is None else seed_of("dpo draw", self.seed, pair_id, step) % self.draws

    def draw(self, pair_id: str, number: int, shape: Sequence[int]) -> tuple[float, torch.Tensor, torch.Tensor]:
        """Timestep, noise (shape), and where in the posterior the winner's and loser's latents lie (2, shape)."""
        dice = torch.Generator().manual_seed(seed_of("dpo", self.seed, pair_id, number))
        timestep = self.objective.draw(dice, shape)
        return timestep, torch.randn(tuple(shape), generator=dice), torch.randn(2, *shape, generator=dice)

    def __call__(self, mean: torch.Tensor, std: torch.Tensor, ids: Sequence[str], numbers: Sequence[int]) -> Noised:
        """Draws and noises latents. mean, std: their posterior (2B, ...), winners first; ids, numbers: of B pairs."""
        drawn = [self.draw(pair_id, number, mean.shape[1:]) for pair_id, number in zip(ids, numbers, strict=True)]
        timesteps = torch.tensor([timestep for timestep, _, _ in drawn]).repeat(2)
        noise = torch.stack([noise for _, noise, _ in drawn] * 2).to(mean.device)
        spread = torch.stack([spread[side] for side in (0, 1) for _, _, spread in drawn]).to(mean.device)
        return self.objective.noised(mean + std * spread, noise, timesteps)

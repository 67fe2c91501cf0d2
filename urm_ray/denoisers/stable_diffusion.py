"""Stable Diffusion 1.x and 2.x: a U-Net that reads one text encoder (arXiv 2112.10752)."""

from __future__ import annotations

from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.family import Conditioning, Family, Shot


class StableDiffusion(Family):
    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        embedding = pipeline.encode_prompt(prompt, pipeline.device, 1, False)[0]
        return {"prompt_embeds": embedding[0]} | self.guidance(pipeline, sampler)

    def guidance(self, pipeline: Any, sampler: SamplerConfig) -> Conditioning:
        """The embedded guidance scale of a distilled U-Net (arXiv 2310.04378); nothing for all others."""
        size = self.config.get("time_cond_proj_dim")
        if size is None:
            return {}
        scale = torch.tensor([sampler.guidance - 1])
        return {"timestep_cond": pipeline.get_guidance_scale_embedding(scale, embedding_dim=size)[0]}

    def added(self, conditioning: Conditioning) -> dict[str, torch.Tensor] | None:
        """Further conditions of the U-Net."""
        return None

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        dtype = self.dtype_of(denoiser)
        told = {name: value.to(dtype) for name, value in conditioning.items()}
        return denoiser(
            noisy.to(dtype),
            timesteps,
            told["prompt_embeds"],
            timestep_cond=told.get("timestep_cond"),
            added_cond_kwargs=self.added(told),
        ).sample

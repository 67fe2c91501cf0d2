"""The Stable Diffusion kind of text-to-video: a U-Net over space and time, frames encoded alone (arXiv 2308.06571)."""

from __future__ import annotations

from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.family import Conditioning, Family, Shot


class TextToVideoSD(Family):
    makes = "video"

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        return {"prompt_embeds": pipeline.encode_prompt(prompt, pipeline.device, 1, False)[0][0]}

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        dtype = self.dtype_of(denoiser)
        return denoiser(noisy.to(dtype), timesteps, conditioning["prompt_embeds"].to(dtype)).sample

"""Stable Diffusion XL and its Turbo: two text encoders, and the picture's size as a condition (arXiv 2307.01952)."""

from __future__ import annotations

from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.family import Conditioning, Shot
from urm_ray.denoisers.stable_diffusion import StableDiffusion


class StableDiffusionXL(StableDiffusion):
    encoders = ("vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        words, _, pooled, _ = pipeline.encode_prompt(
            prompt, device=pipeline.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        # Original size, place of the crop, target size: a picture that was sampled is whole and has the target's size.
        sizes = [shot.height, shot.width, 0, 0, shot.height, shot.width]
        made = {"prompt_embeds": words[0], "pooled_prompt_embeds": pooled[0], "time_ids": torch.tensor(sizes).float()}
        return made | self.guidance(pipeline, sampler)

    def added(self, conditioning: Conditioning) -> dict[str, torch.Tensor] | None:
        return {"text_embeds": conditioning["pooled_prompt_embeds"], "time_ids": conditioning["time_ids"]}

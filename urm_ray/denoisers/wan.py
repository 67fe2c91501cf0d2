"""Wan: flow matching over the latents of a causal autoencoder, words from UMT5 (arXiv 2503.20314)."""

from __future__ import annotations

from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.call import max_sequence_length
from urm_ray.denoisers.clip_transformer import ClipTransformer
from urm_ray.denoisers.family import Conditioning, Shot
from urm_ray.store import StoreError


class Wan(ClipTransformer):
    @property
    def patch(self) -> int:
        return self.config["patch_size"][1]

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        if pipeline.config.get("boundary_ratio") is not None:
            raise StoreError("Diffusion-DPO trains one denoiser, and this policy has two, for high and for low noise")
        words, _ = pipeline.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            max_sequence_length=max_sequence_length(pipeline, sampler),
            device=pipeline.device,
        )
        return {"prompt_embeds": words[0]}

    def dtype_of(self, denoiser: Any) -> torch.dtype:
        # Some of its parts stay in float32 whatever it is loaded in, and the first of its parameters is one of them.
        return next(weight.dtype for name, weight in denoiser.named_parameters() if "patch_embedding" in name)

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        dtype = self.dtype_of(denoiser)
        return denoiser(
            hidden_states=noisy.to(dtype),
            timestep=timesteps,
            encoder_hidden_states=conditioning["prompt_embeds"].to(dtype),
        ).sample

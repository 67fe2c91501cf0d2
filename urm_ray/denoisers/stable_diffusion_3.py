"""Stable Diffusion 3 and 3.5: joint attention over picture and words of three text encoders (arXiv 2403.03206)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.call import max_sequence_length
from urm_ray.denoisers.family import Conditioning, Family, Shot
from urm_ray.media import MediaError


class StableDiffusion3(Family):
    denoiser = "transformer"
    encoders = (
        "vae",
        "text_encoder",
        "tokenizer",
        "text_encoder_2",
        "tokenizer_2",
        "text_encoder_3",
        "tokenizer_3",
    )

    @property
    def patch(self) -> int:
        return self.config["patch_size"]

    @property
    def idle(self) -> tuple[str, ...]:
        # The last block keeps the picture only, so it asks for nothing on behalf of the words.
        last = f"transformer_blocks.{self.config['num_layers'] - 1}.attn"
        return f"{last}.add_q_proj", f"{last}.norm_added_q"

    def check(self, pipeline: Any, chosen: Shot, rejected: Shot) -> None:
        super().check(pipeline, chosen, rejected)
        most = self.config["pos_embed_max_size"] * self.patch * pipeline.vae_scale_factor
        if max(chosen.height, chosen.width) > most:
            raise MediaError(f"{chosen.height} x {chosen.width} pixels: the policy knows places up to {most}")

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        if pipeline.text_encoder_3 is None and pipeline.transformer is None:
            # Of a denoiser that is not loaded it asks how wide the zeros are that stand for the missing T5.
            pipeline.transformer = SimpleNamespace(config=SimpleNamespace(**self.config))
        words, _, pooled, _ = pipeline.encode_prompt(
            prompt,
            None,
            None,
            device=pipeline.device,
            do_classifier_free_guidance=False,
            max_sequence_length=max_sequence_length(pipeline, sampler),
        )
        return {"prompt_embeds": words[0], "pooled_prompt_embeds": pooled[0]}

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        dtype = self.dtype_of(denoiser)
        return denoiser(
            hidden_states=noisy.to(dtype),
            timestep=timesteps,
            encoder_hidden_states=conditioning["prompt_embeds"].to(dtype),
            pooled_projections=conditioning["pooled_prompt_embeds"].to(dtype),
        ).sample

"""FLUX.1: a transformer over packed latents and the words of T5 (github.com/black-forest-labs/flux).

Its dev version is distilled from guidance and takes the scale as a condition; its schnell version does not.
"""

from __future__ import annotations

from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.call import max_sequence_length
from urm_ray.denoisers.family import Conditioning, Family, Shot


class Flux(Family):
    denoiser = "transformer"
    encoders = ("vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    patch = 2

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        words, pooled, _ = pipeline.encode_prompt(
            prompt, None, device=pipeline.device, max_sequence_length=max_sequence_length(pipeline, sampler)
        )
        made = {"prompt_embeds": words[0], "pooled_prompt_embeds": pooled[0]}
        return made | ({"guidance": torch.tensor(sampler.guidance)} if self.config.get("guidance_embeds") else {})

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        dtype = self.dtype_of(denoiser)
        words = conditioning["prompt_embeds"].to(dtype)
        height, width = noisy.shape[-2:]
        predicted = denoiser(
            hidden_states=pack(noisy.to(dtype)),
            timestep=timesteps.to(dtype) / 1000,
            guidance=conditioning.get("guidance"),
            pooled_projections=conditioning["pooled_prompt_embeds"].to(dtype),
            encoder_hidden_states=words,
            txt_ids=words.new_zeros(words.shape[1], 3),
            img_ids=places(height // 2, width // 2).to(words),
        ).sample
        return unpack(predicted, height, width)


def pack(latents: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) as tokens (N, h/2 * w/2, 4C) of 2 x 2 latents, row by row; channels vary slowest in a token."""
    tokens = latents.unfold(2, 2, 2).unfold(3, 2, 2)  # (N, C, h/2, w/2, 2, 2)
    return tokens.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def unpack(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """What `pack` did, undone."""
    cells = tokens.unflatten(1, (height // 2, width // 2)).unflatten(3, (-1, 2, 2))  # (N, h/2, w/2, C, 2, 2)
    return cells.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def places(rows: int, columns: int) -> torch.Tensor:
    """(rows * columns, 3): 0, row and column of each token."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(row), row, column], -1).flatten(0, 1).float()

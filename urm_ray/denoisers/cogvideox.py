"""CogVideoX: v-prediction over the latents of a causal autoencoder, words and clip in one attention
(arXiv 2408.06072)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.call import max_sequence_length
from urm_ray.denoisers.clip_transformer import ClipTransformer
from urm_ray.denoisers.family import Conditioning, Shot


class CogVideoX(ClipTransformer):
    """Its autoencoder works on two frames of latents at a time: clips have 8k or 8k + 1 frames."""

    @property
    def patch(self) -> int:
        return self.config["patch_size"]

    def lengths(self, frames: int, compression: int) -> list[int]:
        step = 2 * compression
        below = frames // step * step
        return [frames] if frames - below <= 1 else [below + 1, below + step]

    def conditioning(self, pipeline: Any, prompt: str, shot: Shot, sampler: SamplerConfig) -> Conditioning:
        words, _ = pipeline.encode_prompt(
            prompt,
            do_classifier_free_guidance=False,
            max_sequence_length=max_sequence_length(pipeline, sampler),
            device=pipeline.device,
        )
        return {"prompt_embeds": words[0]}

    def posterior(self, vae: Any, clips: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """As of any clip; where the transformer takes several frames of latents as one token (CogVideoX 1.5), the first
        frame is repeated until they are whole, as the authors train it."""
        mean, std = super().posterior(vae, clips)
        missing = -mean.shape[2] % (self.config.get("patch_size_t") or 1)
        whole = [torch.cat([part[:, :, :1].expand(-1, -1, missing, -1, -1), part], 2) for part in (mean, std)]
        return whole[0], whole[1]

    def predict(
        self, denoiser: Any, noisy: torch.Tensor, timesteps: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        dtype = self.dtype_of(denoiser)
        predicted = denoiser(
            hidden_states=noisy.to(dtype).transpose(1, 2),
            encoder_hidden_states=conditioning["prompt_embeds"].to(dtype),
            timestep=timesteps,
            image_rotary_emb=self.places(noisy) if self.config.get("use_rotary_positional_embeddings") else None,
        ).sample
        return predicted.transpose(1, 2)

    def places(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of where each token of latents (N, C, F, h, w) is, as the pipeline places them."""
        from diffusers.models.embeddings import get_3d_rotary_pos_embed
        from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

        side, deep = self.patch, self.config.get("patch_size_t")
        frames, *grid = latents.shape[2], latents.shape[3] // side, latents.shape[4] // side
        trained = self.config["sample_height"] // side, self.config["sample_width"] // side
        if deep is None:
            where: dict[str, Any] = {
                "crops_coords": get_resize_crop_region_for_grid(grid, trained[1], trained[0]),
                "temporal_size": frames,
            }
        else:
            where = {
                "crops_coords": None,
                "temporal_size": frames // deep,
                "grid_type": "slice",
                "max_size": trained,
            }
        cosines, sines = get_3d_rotary_pos_embed(
            self.config["attention_head_dim"], grid_size=tuple(grid), device=latents.device, **where
        )
        return cosines, sines

"""What transformers over clips have in common: an autoencoder that compresses time as well as space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.autoencoder import normalise
from urm_ray.denoisers.family import Family, Shot
from urm_ray.media import MediaError
from urm_ray.store import StoreError


class ClipTransformer(Family):
    """The first frame of a clip is a frame of latents by itself, and each further `compression` frames are one more.

    Of a clip with other numbers of frames such autoencoders leave some out, or give more back, and say nothing.
    """

    makes = "video"
    denoiser = "transformer"

    def compression(self, pipeline: Any) -> tuple[int, int]:
        """Frames, and pixels of height and of width, that one latent stands for."""
        return pipeline.vae_scale_factor_temporal, pipeline.vae_scale_factor_spatial

    def lengths(self, frames: int, compression: int) -> list[int]:
        """The possible numbers of frames next to this one, below and above; this one alone if it is possible."""
        below = (frames - 1) // compression * compression + 1
        return [below] if below == frames else [below, below + compression]

    def misfit(self, pipeline: Any, frames: int) -> str | None:
        """What is wrong with clips of so many frames, if anything."""
        lengths = self.lengths(frames, self.compression(pipeline)[0])
        return None if lengths == [frames] else f"{frames} frames: the policy makes {' or '.join(map(str, lengths))}"

    def multiple(self, pipeline: Any) -> int:
        return self.compression(pipeline)[1] * self.patch

    def check(self, pipeline: Any, chosen: Shot, rejected: Shot) -> None:
        super().check(pipeline, chosen, rejected)
        if wrong := self.misfit(pipeline, chosen.frames):
            raise MediaError(wrong)

    def call_options(self, pipeline: Any, sampler: SamplerConfig) -> dict[str, Any]:
        if wrong := self.misfit(pipeline, sampler.frames):
            raise StoreError(f"sampler.frames: {wrong}")
        return super().call_options(pipeline, sampler)

    def posterior(self, vae: Any, clips: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [vae.encode(clip.transpose(0, 1)[None].to(vae.device, vae.dtype)).latent_dist for clip in clips]
        mean, std = torch.cat([p.mean for p in parts]), torch.cat([p.std for p in parts])
        return normalise(mean, std, self.statistics(vae))

    def statistics(self, vae: Any) -> Any:
        """What `normalise` needs of an autoencoder."""
        return vae.config

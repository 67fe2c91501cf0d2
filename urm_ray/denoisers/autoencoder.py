"""Pixels to the latents that denoisers are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

FRAMES = 16
"""Pictures in one pass of the autoencoder."""


def posterior_of_frames(vae: Any, clips: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (N, C, F, h, w) of N clips (F, 3, H, W) of one size, each frame encoded by itself."""
    parts = [
        vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist for pixels in torch.cat(list(clips)).split(FRAMES)
    ]
    both = normalise(torch.cat([p.mean for p in parts]), torch.cat([p.std for p in parts]), vae.config)
    mean, std = (latents.unflatten(0, (len(clips), -1)).transpose(1, 2) for latents in both)
    return mean, std


def normalise(mean: torch.Tensor, std: torch.Tensor, config: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (N, C, ...) of an autoencoder in the numbers that its denoiser was trained on.

    config: the autoencoder's. `latents_mean` and `latents_std` have a value for each channel, `shift_factor` is one for
    all; a pipeline undoes it as x * latents_std / scaling_factor + latents_mean.
    """

    def value(name: str) -> Any:
        found = config.get(name)
        if not isinstance(found, (list, tuple)):
            return found
        return torch.tensor(found, device=mean.device, dtype=mean.dtype).reshape(-1, *[1] * (mean.ndim - 2))

    centre, spread = value("latents_mean"), value("latents_std")
    if centre is None or spread is None:
        centre, spread = value("shift_factor"), None
    scale = value("scaling_factor")
    if centre is not None:
        mean = mean - centre
    for factor in (scale, None if spread is None else 1 / spread):
        if factor is not None:
            mean, std = mean * factor, std * factor
    return mean, std

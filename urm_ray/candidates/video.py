"""Samples clips from a text-to-video pipeline of diffusers."""

from __future__ import annotations

from typing import Any

import numpy as np

from urm_ray.candidates.diffusion import DiffusionSampler, picture


class VideoSampler(DiffusionSampler):
    """Makes one clip for each (prompt, seed)."""

    makes = "video"
    output = "frames"

    def options(self) -> dict[str, Any]:
        return {**super().options(), "num_frames": self.config.frames}

    def media(self, pixels: np.ndarray) -> dict[str, Any]:
        from urm_ray.clips import encode_clip

        return encode_clip([picture(frame) for frame in pixels], self.config.fps)

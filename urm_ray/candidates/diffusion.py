"""What samplers of pictures and of clips have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from urm_ray.config import SamplerConfig
from urm_ray.models import load_pipeline


class DiffusionSampler:
    """Makes one sample for each (prompt, seed) with a pipeline of diffusers.

    Noise is drawn on the CPU from the sample's own seed, so a sample does not depend on its neighbours or device.
    """

    makes: str
    """image or video: the kind of pipeline it takes."""
    output: str
    """The name that the pipeline gives its samples."""

    def __init__(self, path: str, config: SamplerConfig, dtype: str = "float32", device: str = "auto") -> None:
        self.pipeline = load_pipeline(path, dtype, device, self.makes)
        self.config = config
        unet_size = getattr(getattr(self.pipeline, "unet", None), "config", {}).get("sample_size")
        default = unet_size * self.pipeline.vae_scale_factor if isinstance(unet_size, int) else None
        self.size = {"height": config.height or default, "width": config.width or default}

    def media(self, pixels: np.ndarray) -> dict[str, Any]:
        """The `schema.MEDIA` value of one sample's pixels in 0..1."""
        raise NotImplementedError

    def sample(self, requests: Sequence[tuple[str, int]], wanted: Sequence[bool] | None = None) -> list[dict[str, Any]]:
        """`schema.CANDIDATE` values for (prompt, seed) requests, indexed in order.

        A sample that cannot be had (not a number, or blanked by a safety checker) is an error of that candidate alone.
        wanted: batches of which nothing is wanted are left out and their candidates are empty; the others are made
        whole, so that what is wanted comes out the same.
        """
        made: list[dict[str, Any]] = []
        for start in range(0, len(requests), self.config.batch):
            chunk = requests[start : start + self.config.batch]
            skip = wanted is not None and not any(wanted[start : start + self.config.batch])
            made += [{}] * len(chunk) if skip else self._batch(chunk)
        return [{"index": i, **candidate} for i, candidate in enumerate(made)]

    def options(self) -> dict[str, Any]:
        """What the pipeline is told beside prompts and noise."""
        return {
            "num_inference_steps": self.config.steps,
            "guidance_scale": self.config.guidance,
            "output_type": "np",
            **self.size,
        }

    @torch.inference_mode()
    def _batch(self, requests: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        prompts = [prompt for prompt, _ in requests]
        extra = (
            {}
            if self.config.negative_prompt is None
            else {"negative_prompt": [self.config.negative_prompt] * len(prompts)}
        )
        result = self.pipeline(
            prompts,
            generator=[torch.Generator("cpu").manual_seed(seed) for _, seed in requests],
            **self.options(),
            **extra,
        )
        blanked = getattr(result, "nsfw_content_detected", None) or [False] * len(prompts)
        return [
            self._candidate(pixels, seed, bool(flag))
            for pixels, (_, seed), flag in zip(getattr(result, self.output), requests, blanked, strict=True)
        ]

    def _candidate(self, pixels: np.ndarray, seed: int, blanked: bool) -> dict[str, Any]:
        numbers = bool(np.isfinite(pixels).all())
        error = "blanked by the safety checker" if blanked else None if numbers else "pixels are not numbers"
        return {"seed": seed, "media": self.media(pixels) if error is None else None, "text": None, "error": error}


def picture(pixels: np.ndarray) -> Image.Image:
    """(H, W, 3) in 0..1, rounded to 8 bits."""
    return Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))

"""Samples pictures from a text-to-image pipeline of diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from urm_ray.config import SamplerConfig
from urm_ray.media import encode_image
from urm_ray.models import load_pipeline
from urm_ray.schema import seed_of


def seeds(run_seed: int, prompt_id: str, count: int) -> list[int]:
    """The seeds of a prompt's candidates, from ids alone; the same in every run, on every node, in any order."""
    return [seed_of("candidate", run_seed, prompt_id, index) for index in range(count)]


class ImageSampler:
    """Makes one picture for each (prompt, seed).

    Noise is drawn on the CPU from the picture's own seed, so a picture does not depend on its neighbours or device.
    """

    def __init__(self, path: str, config: SamplerConfig, dtype: str = "float32", device: str = "auto") -> None:
        self.pipeline = load_pipeline(path, dtype, device)
        self.config = config
        unet_size = getattr(getattr(self.pipeline, "unet", None), "config", {}).get("sample_size")
        default = unet_size * self.pipeline.vae_scale_factor if isinstance(unet_size, int) else None
        self.size = {"height": config.height or default, "width": config.width or default}

    def sample(self, requests: Sequence[tuple[str, int]], wanted: Sequence[bool] | None = None) -> list[dict[str, Any]]:
        """`schema.CANDIDATE` values for (prompt, seed) requests, indexed in order.

        A picture that cannot be had (not a number, or blanked by a safety checker) is an error of that candidate alone.
        wanted: batches of which nothing is wanted are left out and their candidates are empty; the others are made
        whole, so that what is wanted comes out the same.
        """
        made: list[dict[str, Any]] = []
        for start in range(0, len(requests), self.config.batch):
            chunk = requests[start : start + self.config.batch]
            skip = wanted is not None and not any(wanted[start : start + self.config.batch])
            made += [{}] * len(chunk) if skip else self._batch(chunk)
        return [{"index": i, **candidate} for i, candidate in enumerate(made)]

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
            num_inference_steps=self.config.steps,
            guidance_scale=self.config.guidance,
            generator=[torch.Generator("cpu").manual_seed(seed) for _, seed in requests],
            output_type="np",
            **self.size,
            **extra,
        )
        blanked = getattr(result, "nsfw_content_detected", None) or [False] * len(prompts)
        return [
            _candidate(pixels, seed, bool(flag))
            for pixels, (_, seed), flag in zip(result.images, requests, blanked, strict=True)
        ]


def _candidate(pixels: np.ndarray, seed: int, blanked: bool) -> dict[str, Any]:
    error = (
        "blanked by the safety checker" if blanked else None if np.isfinite(pixels).all() else "pixels are not numbers"
    )
    media = None
    if error is None:
        media = encode_image(Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8)))
    return {"seed": seed, "media": media, "text": None, "error": error}

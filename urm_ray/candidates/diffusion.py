"""What samplers of pictures and of clips have in common."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.call import need_taken
from urm_ray.denoisers.registry import family_for
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
        """StoreError where the pipeline cannot sample as configured."""
        self.pipeline, self.config = load_pipeline(path, dtype, device, self.makes), config
        family = family_for(self.pipeline)
        self.size = own_size(self.pipeline) | {
            side: value for side, value in (("height", config.height), ("width", config.width)) if value
        }
        self.extra = family.call_options(self.pipeline, config) if family else {}
        for name in ("negative_prompt", "max_sequence_length"):
            if getattr(config, name) is not None:
                need_taken(self.pipeline, name)

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
            **self.extra,
            **({"max_sequence_length": self.config.max_sequence_length} if self.config.max_sequence_length else {}),
        }

    @torch.inference_mode()
    def _batch(self, requests: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        prompts = [prompt for prompt, _ in requests]
        extra = (
            {}
            if self.config.negative_prompt is None
            else {"negative_prompt": [self.config.negative_prompt] * len(prompts)}
        )
        dice = [torch.Generator("cpu").manual_seed(seed) for _, seed in requests]
        with own_noise(getattr(self.pipeline, "scheduler", None), dice):
            result = self.pipeline(prompts, generator=dice, **self.options(), **extra)
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


def own_size(pipeline: Any) -> dict[str, int]:
    """Height and width in pixels that a U-Net was trained for; nothing where the pipeline's call knows its own."""
    latents = getattr(getattr(pipeline, "unet", None), "config", {}).get("sample_size")
    return dict.fromkeys(("height", "width"), latents * pipeline.vae_scale_factor) if isinstance(latents, int) else {}


@contextmanager
def own_noise(scheduler: Any, dice: list[torch.Generator]) -> Iterator[None]:
    """Lets steps that draw noise draw it from the samples' own seeds; some pipelines leave them to the global one."""
    step = getattr(scheduler, "step", None)
    if step is None or "generator" not in inspect.signature(step).parameters:
        yield
        return

    @functools.wraps(step)
    def seeded(*args: Any, **kwargs: Any) -> Any:
        return step(*args, **{"generator": dice} | kwargs)

    scheduler.step = seeded
    try:
        yield
    finally:
        del scheduler.step

"""Samples pictures from a text-to-image pipeline of diffusers."""

from __future__ import annotations

from typing import Any

import numpy as np

from urm_ray.candidates.diffusion import DiffusionSampler, picture
from urm_ray.media import encode_image
from urm_ray.schema import seed_of


def seeds(run_seed: int, prompt_id: str, count: int) -> list[int]:
    """The seeds of a prompt's candidates, from ids alone; the same in every run, on every node, in any order."""
    return [seed_of("candidate", run_seed, prompt_id, index) for index in range(count)]


class ImageSampler(DiffusionSampler):
    """Makes one picture for each (prompt, seed)."""

    makes = "image"
    output = "images"

    def media(self, pixels: np.ndarray) -> dict[str, Any]:
        return encode_image(picture(pixels))

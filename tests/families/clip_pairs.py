"""Preference pairs of real clips for the families of `clip_pipelines`, and batches of them that are encoded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from families.clip_pipelines import SIZES, folder_of
from helpers import candidate
from PIL import Image

from urm_ray import schema
from urm_ray.clips import encode_clip
from urm_ray.config_policy import SamplerConfig
from urm_ray.config_training import DpoConfig
from urm_ray.training.encode_pairs import EncodePairs
from urm_ray.training.encoded import collate_encoded

SEED = 5
PROMPTS = ("a red circle moves left", "a blue square")


def clip(seed: int, height: int, width: int, frames: int, fps: float = 6.0) -> dict[str, Any]:
    """A clip of soft noise that drifts, kept without loss."""
    dice = np.random.default_rng(seed)
    coarse = dice.integers(0, 256, (frames, height // 8, width // 8, 3), dtype=np.uint8)
    return encode_clip([Image.fromarray(frame).resize((width, height)) for frame in coarse], fps)


def pair(family: str, number: int, fps: float = 6.0, **changes: Any) -> dict[str, Any]:
    """A `schema.PREFERENCE_PAIR` row. changes: height, width, frames of its clips."""
    sizes = dict(zip(("height", "width", "frames"), SIZES[family], strict=True)) | changes
    clips = [clip(2 * number + k, **sizes, fps=fps) for k in range(2)]
    sides = {side: candidate(k, media=clips[k]) for k, side in enumerate(("chosen", "rejected"))}
    row = dict.fromkeys(schema.PREFERENCE_PAIR.names) | {
        "pair_id": f"pair{number}",
        "prompt_id": f"prompt{number}",
        "task": "video_generation",
        "prompt": PROMPTS[number % 2],
    }
    return row | sides


def encode(rows: Sequence[dict[str, Any]], folder: str, config: DpoConfig | None = None) -> pa.Table:
    """`schema.ENCODED_PAIR` rows of the policy in a folder."""
    encoder = EncodePairs(folder, config or DpoConfig(), SEED, "cpu", SamplerConfig(fps=6.0))
    return encoder(schema.table_of(list(rows), schema.PREFERENCE_PAIR))


@cache
def encoded(family: str, draws: int = 0) -> dict[str, Any]:
    """Two pairs as a batch. draws: of a stored reference."""
    config = DpoConfig(reference="stored", stored_draws=draws) if draws else DpoConfig()
    return collate_encoded(encode([pair(family, number) for number in range(2)], folder_of(family), config))

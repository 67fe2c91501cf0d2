"""Reads the things in a picture off its pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from urm_ray.scenes.grammar import COLOURS, SHAPES, Thing
from urm_ray.scenes.render import RGB, outline

_INK = 60.0  # distance from the background, in RGB units, from which a pixel belongs to a thing
_MIN_AREA = 14.0  # smaller specks are dirt
_GRID = 12


@dataclass(frozen=True)
class Found:
    """A thing seen in a picture, with its centre in pixels."""

    thing: Thing
    x: float
    y: float


@cache
def _templates() -> dict[str, np.ndarray]:
    """Each shape filling a _GRID x _GRID frame, soft-edged, in 0..1."""
    masks = {}
    for shape in SHAPES:
        canvas = Image.new("L", (_GRID * 8, _GRID * 8))
        corners = np.array(outline(shape, 0, 0, 1))
        corners = (corners - corners.min(0)) / (corners.max(0) - corners.min(0)) * (_GRID * 8 - 1)
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in corners], fill=255)
        masks[shape] = np.asarray(canvas.resize((_GRID, _GRID), Image.Resampling.BOX), np.float32) / 255
    return masks


def _shape_of(mask: np.ndarray) -> tuple[str, float]:
    """The best-matching shape of a soft mask (H, W) cut to its bounding box, and its overlap in 0..1."""
    resized = Image.fromarray((mask * 255).astype(np.uint8)).resize((_GRID, _GRID), Image.Resampling.BILINEAR)
    seen = np.asarray(resized, np.float32) / 255
    overlap = {s: float(np.minimum(seen, t).sum() / np.maximum(seen, t).sum()) for s, t in _templates().items()}
    best = max(overlap, key=lambda s: overlap[s])
    return best, overlap[best]


def read(picture: Image.Image) -> list[Found]:
    """The things in a picture (any size, RGB), left to right. What cannot be told apart is left out."""
    pixels = np.asarray(picture.convert("RGB"), np.float32)
    scale = pixels.shape[0] / 32
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    background = np.median(border, axis=0)
    distance = np.linalg.norm(pixels - background, axis=-1)
    found = []
    palette = np.array([RGB[c] for c in COLOURS], np.float32)
    nearest = np.linalg.norm(pixels[:, :, None] - palette, axis=-1).argmin(-1)
    labels, _count = ndimage.label(distance > _INK)
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        own = labels[box] == i
        core = own & (distance[box] > 0.8 * np.percentile(distance[box][own], 90))
        if own.sum() < _MIN_AREA * scale**2 or not core.any():
            continue
        colour = COLOURS[int(np.bincount(nearest[box][core], minlength=len(COLOURS)).argmax())]
        full = np.percentile(distance[box][own], 85)
        soft = np.clip(distance[box] / full, 0, 1) * ndimage.binary_dilation(own)
        inside = np.argwhere(soft > 0.5)
        (top, left), (bottom, right) = inside.min(0), inside.max(0) + 1
        shape, _ = _shape_of(soft[top:bottom, left:right])
        y, x = ndimage.center_of_mass(own)
        found.append(Found(Thing(colour, shape), float(box[1].start + x) / scale, float(box[0].start + y) / scale))
    return sorted(found, key=lambda f: (f.x, f.y))


def matched(seen: Iterable[Hashable], wanted: Iterable[Hashable]) -> float:
    """The share of what is wanted that was seen, or of what was seen where that is more."""
    have, want = Counter(seen), Counter(wanted)
    return (have & want).total() / max(have.total(), want.total(), 1)

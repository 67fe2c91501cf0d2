"""Draws a scene as a picture, and spoils pictures in graded ways."""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from urm_ray.scenes.grammar import Scene

SIZE = 32
RGB = {
    "red": (220, 40, 40),
    "green": (40, 165, 70),
    "blue": (45, 80, 220),
    "yellow": (240, 200, 40),
    "purple": (165, 60, 190),
    "black": (35, 35, 35),
}
BACKGROUND = (238, 238, 236)
QUALITY_FAULTS = ("blur", "noise", "broken")
SUPERSAMPLE = 4


def outline(shape: str, x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """Corners of a shape whose bounding circle has the given centre and radius, in pixels."""
    if shape == "circle":
        return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 40)[:-1]]
    if shape == "square":
        r = radius * 0.9
        return [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    if shape == "triangle":
        return [(x, y - radius), (x + radius, y + radius * 0.85), (x - radius, y + radius * 0.85)]
    if shape == "cross":
        w, r = radius * 0.34, radius
        steps = [(-w, -r), (w, -r), (w, -w), (r, -w), (r, w), (w, w), (w, r), (-w, r), (-w, w), (-r, w), (-r, -w)]
        return [(x + dx, y + dy) for dx, dy in [*steps, (-w, -w)]]
    raise ValueError(f"no such shape: {shape!r}")


def place(scene: Scene, rng: random.Random) -> list[tuple[float, float, float]]:
    """Centre and radius (x, y, radius) of each thing, as the relation asks and without overlap."""
    if len(scene.things) == 1:
        return [(rng.uniform(12, SIZE - 12), rng.uniform(12, SIZE - 12), rng.uniform(6.5, 8))]
    near, far, axis = SIZE * 0.26, SIZE * 0.74, rng.random() < 0.5
    if scene.relation or (len(scene.things) == 2 and rng.random() < 0.8):
        relation = scene.relation or rng.choice(("left of", "above"))
        along = [near, far] if relation in ("left of", "above") else [far, near]
        across = rng.uniform(near + 2, far - 2)
        cells = [(a, across) if relation in ("left of", "right of") else (across, a) for a in along]
    else:
        corners = [(near, near), (far, near), (near, far), (far, far)]
        cells = rng.sample(corners, len(scene.things)) if len(scene.things) == 3 else corners[:: 3 if axis else 1][:2]
    return [(x + rng.uniform(-1, 1), y + rng.uniform(-1, 1), rng.uniform(5.2, 6.2)) for x, y in cells]


def render(scene: Scene, rng: random.Random) -> Image.Image:
    """A clean picture (RGB, SIZE x SIZE) of the scene, drawn anew for each state of `rng`."""
    return draw(scene, place(scene, rng), rng)


def draw(scene: Scene, places: list[tuple[float, float, float]], rng: random.Random) -> Image.Image:
    """The scene with its things at the given (x, y, radius)."""
    scale = SUPERSAMPLE
    shade = rng.randint(-8, 8)
    canvas = Image.new("RGB", (SIZE * scale, SIZE * scale), tuple(c + shade for c in BACKGROUND))
    pen = ImageDraw.Draw(canvas)
    for thing, (x, y, radius) in zip(scene.things, places, strict=True):
        colour = tuple(max(0, min(255, c + rng.randint(-12, 12))) for c in RGB[thing.colour])
        pen.polygon(outline(thing.shape, x * scale, y * scale, radius * scale), fill=colour)
    return canvas.resize((SIZE, SIZE), Image.Resampling.BOX)


def spoil(picture: Image.Image, fault: str, strength: int, rng: random.Random) -> Image.Image:
    """The picture with a fault of quality in strength 1, 2 or 3."""
    if strength not in (1, 2, 3):
        raise ValueError(f"strength is 1, 2 or 3, not {strength}")
    if fault == "blur":
        return picture.filter(ImageFilter.GaussianBlur((0.8, 1.5, 2.4)[strength - 1]))
    pixels = np.asarray(picture, np.float64)
    dice = np.random.default_rng(rng.getrandbits(64))
    if fault == "noise":
        pixels = pixels + dice.normal(0, (16, 34, 60)[strength - 1], pixels.shape)
    elif fault == "broken":
        background = np.median(pixels.reshape(-1, 3), axis=0)
        inked = np.argwhere(np.abs(pixels - background).sum(-1) > 90)
        pixels = pixels.copy()
        for _ in range(strength if len(inked) else 0):
            y, x = inked[dice.integers(len(inked))]
            half = 1 + strength * 0.5
            top, left = max(0, round(y - half)), max(0, round(x - half))
            pixels[top : round(y + half) + 1, left : round(x + half) + 1] = background
    else:
        raise ValueError(f"no such fault: {fault!r}")
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

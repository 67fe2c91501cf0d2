"""Draws moving scenes as frames, and spoils clips in graded ways."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from urm_ray.scenes.grammar import Scene
from urm_ray.scenes.motion import STEPS, MovingScene
from urm_ray.scenes.render import QUALITY_FAULTS, SIZE, draw, spoil

FRAMES = 8
FPS = 8.0
CLIP_FAULTS = (*QUALITY_FAULTS, "flicker", "jump")
TRAVEL = {1: (9.0, 14.0), 2: (7.0, 10.0)}
"""Least and most pixels that a moving thing covers from the first frame to the last, by the number of things."""
RADIUS = {1: (6.0, 7.5), 2: (5.1, 5.7)}
_DRAWS = 256
_EDGE = 1.0  # pixels between a thing and the frame's edge
_GAP = 2.0  # pixels between the bounding squares of two things, in every frame
_LEAP = 6.0  # pixels by which a thing that leaps is out of its place, at least
_DIM = (0.0, 0.08, 0.16, 0.28)  # share of the light that is lost in a dark frame, by strength

Place = tuple[float, float, float]
"""Centre and radius (x, y, radius), in pixels."""


def film(
    scene: MovingScene, rng: random.Random, fault: str | None = None, strength: int = 0, frames: int = FRAMES
) -> list[Image.Image]:
    """Frames (RGB, SIZE x SIZE) of the scene, drawn anew for each state of `rng`, with a fault in strength 1, 2 or 3.

    Colours and background are the same in every frame, unless the fault is flicker.
    """
    return shoot(scene, rng, fault, strength, frames)[0]


def shoot(
    scene: MovingScene, rng: random.Random, fault: str | None = None, strength: int = 0, frames: int = FRAMES
) -> tuple[list[Image.Image], list[list[Place]]]:
    """As `film`, with the places of the things in every frame."""
    places = trace(scene, rng, frames)
    if fault == "jump":
        places = disturb(places, strength, rng)
    looks = rng.getrandbits(64)
    drawn = [draw(Scene(scene.things), now, random.Random(looks)) for now in places]
    return (drawn if fault in (None, "jump") else spoil_clip(drawn, fault, strength, rng)), places


def trace(scene: MovingScene, rng: random.Random, frames: int = FRAMES) -> list[list[Place]]:
    """Where each thing is in each frame: inside, apart from the other, and steadily on its way."""
    dice = np.random.default_rng(rng.getrandbits(64))
    things = len(scene.movers)
    steps = np.array([STEPS[mover.motion] for mover in scene.movers])
    time = np.linspace(0, 1, frames)[:, None, None]
    while True:  # two things that move across each other find room once in a thousand draws
        radius = dice.uniform(*RADIUS[things], (_DRAWS, things, 1))
        way = steps * dice.uniform(*TRAVEL[things], (_DRAWS, things, 1))
        start = dice.uniform(radius + _EDGE - np.minimum(0, way), SIZE - radius - _EDGE - np.maximum(0, way))
        centres = start[:, None] + way[:, None] * time  # (draws, frames, things, 2)
        far = np.abs(centres[:, :, 0] - centres[:, :, -1]).max(-1).min(1)
        free = far >= radius.sum((1, 2)) + _GAP if things == 2 else np.ones(_DRAWS, bool)
        if free.any():
            i = int(free.argmax())
            return [
                [(*xy, r) for xy, r in zip(now.tolist(), radius[i, :, 0].tolist(), strict=True)] for now in centres[i]
            ]


def _apart(one: Place, two: Place) -> bool:
    return max(abs(one[0] - two[0]), abs(one[1] - two[1])) >= one[2] + two[2] + _GAP


def disturb(places: list[list[Place]], strength: int, rng: random.Random) -> list[list[Place]]:
    """The same places with `strength` jumps: a thing out of place in a frame or, if something moves, neighbouring
    frames exchanged."""
    _check(strength)
    places = [list(now) for now in places]
    if places[0] != places[-1] and rng.random() < 0.5:
        for at in rng.sample(range(len(places) // 2), min(strength, len(places) // 2)):
            places[2 * at : 2 * at + 2] = places[2 * at + 1], places[2 * at]
        return places
    inner = range(1, len(places) - 1)
    for at in rng.sample(inner, min(strength, len(inner))):
        places[at] = _leap(places[at], rng)
    return places


def _leap(now: list[Place], rng: random.Random) -> list[Place]:
    i = rng.randrange(len(now))
    x, y, radius = now[i]
    others = now[:i] + now[i + 1 :]
    while True:
        low, high = radius + _EDGE, SIZE - radius - _EDGE
        there = rng.uniform(low, high), rng.uniform(low, high), radius
        if max(abs(there[0] - x), abs(there[1] - y)) >= _LEAP and all(_apart(there, other) for other in others):
            return [*now[:i], there, *now[i + 1 :]]


def spoil_clip(frames: list[Image.Image], fault: str, strength: int, rng: random.Random) -> list[Image.Image]:
    """The frames with a fault of quality other than jump: that of a picture in every frame, or flicker."""
    _check(strength)
    if fault == "flicker":
        return _flicker(frames, strength, rng)
    if fault == "noise":
        return [spoil(frame, fault, strength, rng) for frame in frames]
    dice = rng.getrandbits(64)  # blurred alike, and broken at about the same places
    return [spoil(frame, fault, strength, random.Random(dice)) for frame in frames]


def _flicker(frames: list[Image.Image], strength: int, rng: random.Random) -> list[Image.Image]:
    """Every other frame darker, in all channels or in one, by shares that vary from frame to frame."""
    channels = rng.choice(((1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)))
    first = rng.randrange(2)
    lit = []
    for number, frame in enumerate(frames):
        depth = rng.uniform(0.7, 1.0) if (number + first) % 2 else rng.uniform(0.0, 0.25)
        light = 1 - _DIM[strength] * depth * np.array(channels)
        lit.append(Image.fromarray((np.asarray(frame, np.float64) * light).round().astype(np.uint8)))
    return lit


def _check(strength: int) -> None:
    if strength not in (1, 2, 3):
        raise ValueError(f"strength is 1, 2 or 3, not {strength}")

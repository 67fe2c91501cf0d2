"""Reads moving scenes off the pixels of a clip: what is there, how it moves, and whether it hangs together in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from urm_ray.scenes.grammar import Thing
from urm_ray.scenes.motion import STEPS, parse
from urm_ray.scenes.reading import Found, matched, read

_MOVED = 4.5  # pixels of 32 on the whole way, from which a thing moves and does not stand still
_OFF_COURSE = 0.9  # pixels by which a thing on a steady course may be read beside it
_LIGHT = 5.0  # of 255, by which the background of a steady clip may change from frame to frame
_UNLIKE = 16.0  # pixels that a change of colour or shape counts for when things are followed

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Track:
    """A thing followed through the frames in which it was seen."""

    thing: Thing
    motion: str | None
    """One of `MOTIONS`, or None for any other."""
    steady: frozenset[int]
    """The frames in which it looks as in most others and is on its course."""


def follow(frames: Sequence[Image.Image]) -> list[Track]:
    """The things in a clip (frames of any size, RGB); as many as there are in most of its frames."""
    seen = [read(frame) for frame in frames]
    return [_track(sightings, len(frames)) for sightings in _linked(seen)]


def _most(values: Sequence[Key]) -> Key:
    return Counter(values).most_common(1)[0][0]


def _linked(seen: Sequence[Sequence[Found]]) -> list[list[tuple[int, Found]]]:
    """(frame, thing) of each thing, over the frames that hold the usual number, each linked to the one before it."""
    number = _most([len(found) for found in seen])
    tracks: list[list[tuple[int, Found]]] = [[] for _ in range(number)]
    for at, found in enumerate(seen):
        if len(found) != number or not number:
            continue
        order: Iterable[int] = range(number)
        if tracks[0]:
            order = linear_sum_assignment([[_unlike(track[-1][1], f) for f in found] for track in tracks])[1]
        for track, i in zip(tracks, order, strict=True):
            track.append((at, found[i]))
    return tracks


def _unlike(one: Found, two: Found) -> float:
    changes = (one.thing.colour != two.thing.colour) + (one.thing.shape != two.thing.shape)
    return float(np.hypot(one.x - two.x, one.y - two.y)) + _UNLIKE * changes


def _track(sightings: list[tuple[int, Found]], frames: int) -> Track:
    thing = Thing(_most([f.thing.colour for _, f in sightings]), _most([f.thing.shape for _, f in sightings]))
    at = np.array([frame for frame, _ in sightings], float)
    ways, courses = [], []
    for places in (np.array([f.x for _, f in sightings]), np.array([f.y for _, f in sightings])):
        step = _slope(at, places)
        ways.append(step * (frames - 1))
        courses.append(np.abs(places - step * at - np.median(places - step * at)))
    off = np.maximum(*courses)
    steady = {frame for (frame, f), far in zip(sightings, off, strict=True) if f.thing == thing and far <= _OFF_COURSE}
    return Track(thing, _motion(*ways), frozenset(steady))


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """The repeated median slope (Siegel): it holds as long as more than half of the points are on the line."""
    if len(x) < 2:
        return 0.0
    rise, run = y[:, None] - y, x[:, None] - x
    others = ~np.eye(len(x), dtype=bool)
    return float(np.median([np.median(rise[i, others[i]] / run[i, others[i]]) for i in range(len(x))]))


def _motion(right: float, down: float) -> str | None:
    """What goes so many pixels on its whole way."""
    step = tuple(int(np.sign(way)) if abs(way) >= _MOVED else 0 for way in (right, down))
    return next((motion for motion, direction in STEPS.items() if direction == step), None)


def _consistency(frames: Sequence[Image.Image], tracks: Sequence[Track]) -> float | None:
    """The share of the changes from one frame to the next in which nothing but steady motion happens."""
    if len(frames) < 2:
        return None
    light = np.array([np.median(np.asarray(frame.convert("RGB")).reshape(-1, 3), axis=0) for frame in frames])
    calm = np.abs(np.diff(light, axis=0)).max(1) <= _LIGHT
    there = [bool(tracks) and all(at in track.steady for track in tracks) for at in range(len(frames))]
    return float(np.mean([ok and there[at] and there[at + 1] for at, ok in enumerate(calm)]))


def score_clip(caption: str, frames: Sequence[Image.Image]) -> dict[str, float | None]:
    """How well a clip follows its caption and hangs together, each in 0..1; frames are evenly spaced in time.

    `motion` is the share of things that move as asked, counted on the things themselves where they are all right.
    `whole` is 1 only if every thing with its motion is right and nothing else is there; `consistency` has no part in
    it, and is None for a single frame. Raises ValueError when there are no frames or the caption is not of this world.
    """
    if not frames:
        raise ValueError("a clip without frames")
    wanted, tracks = parse(caption).movers, follow(frames)
    things = [track.thing for track in tracks], [mover.thing for mover in wanted]
    moves = [(track.thing, track.motion) for track in tracks], [(mover.thing, mover.motion) for mover in wanted]
    motions = [track.motion for track in tracks], [mover.motion for mover in wanted]
    return {
        "colour": matched([t.colour for t in things[0]], [t.colour for t in things[1]]),
        "shape": matched([t.shape for t in things[0]], [t.shape for t in things[1]]),
        "count": float(len(tracks) == len(wanted)),
        "motion": matched(*moves) if Counter(things[0]) == Counter(things[1]) else matched(*motions),
        "consistency": _consistency(frames, tracks),
        "whole": float(Counter(moves[0]) == Counter(moves[1])),
    }

"""Questions about clips of the embedded world."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass

from urm_ray.scenes.grammar import COLOURS, SHAPES, Thing, held_out
from urm_ray.scenes.motion import MOTIONS, Mover, MovingScene, misread_clip, parse

KINDS = {
    "describe": 8,
    "count": 1,
    "colour": 1,
    "shape": 1,
    "exists": 1,
    "moving": 2,
    "how": 2,
    "what": 2,
    "shown": 2,
}
"""Kinds of question with their shares: descriptions can go wrong in the most ways, and motion is what clips add."""
_COLOUR, _SHAPE = (f"(?P<{name}>{'|'.join(words)})" for name, words in (("colour", COLOURS), ("shape", SHAPES)))
_MOTION = f"(?P<motion>{'|'.join(MOTIONS)})"
_PATTERNS = {
    "describe": r"Describe the video\.",
    "count": r"How many shapes are there\?",
    "colour": rf"What colour is the {_SHAPE}\?",
    "shape": rf"Which shape is {_COLOUR}\?",
    "exists": rf"Is there a {_COLOUR} {_SHAPE}\?",
    "moving": rf"Is there a {_COLOUR} {_SHAPE} {_MOTION}\?",
    "how": rf"How does the {_COLOUR} {_SHAPE} move\?",
    "what": rf"What is {_MOTION}\?",
    "shown": r"Caption: (?P<caption>[^\n]*)\nDoes the video show this\?",
}


@dataclass(frozen=True)
class ClipQuestion:
    """What is asked about a clip, with the colour, shape and motion that the question names."""

    kind: str
    colour: str | None = None
    shape: str | None = None
    motion: str | None = None
    caption: MovingScene | None = None

    @classmethod
    def of(cls, text: str) -> ClipQuestion:
        """ValueError when the question is not of this world."""
        for kind, pattern in _PATTERNS.items():
            if found := re.fullmatch(pattern, text.strip()):
                named = found.groupdict()
                caption = parse(named["caption"]) if "caption" in named else None
                return cls(kind, named.get("colour"), named.get("shape"), named.get("motion"), caption)
        raise ValueError(f"not a question about a clip of the embedded world: {text[:80]!r}")


def draw_clip_question(scene: MovingScene, rng: random.Random, of_held_out: bool) -> str:
    """A question about a clip of the scene that has one answer.

    A caption that it quotes is of the same part, and as often wrong as right; so are things that it asks after.
    """
    while True:
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        if text := _about_things(kind, scene, rng) or _about_motion(kind, scene, rng):
            return text
        if kind == "shown":
            caption = scene if rng.random() < 0.5 else _near_miss(scene, rng, of_held_out)
            return f"Caption: {caption.caption()}\nDoes the video show this?"


def _about_things(kind: str, scene: MovingScene, rng: random.Random) -> str | None:
    """None where nothing of the kind can be asked, such as the colour of one of two circles."""
    thing = rng.choice(scene.things)
    match kind:
        case "describe":
            return "Describe the video."
        case "count":
            return "How many shapes are there?"
        case "colour" if sum(other.shape == thing.shape for other in scene.things) == 1:
            return f"What colour is the {thing.shape}?"
        case "shape" if sum(other.colour == thing.colour for other in scene.things) == 1:
            return f"Which shape is {thing.colour}?"
        case "exists":
            return f"Is there {_one_near(scene, rng, ('colour', 'shape')).thing.text()}?"
    return None


def _about_motion(kind: str, scene: MovingScene, rng: random.Random) -> str | None:
    """None where nothing of the kind can be asked, such as what moves where two different things do."""
    mover = rng.choice(scene.movers)
    match kind:
        case "moving":
            return f"Is there {_one_near(scene, rng, ('motion', 'motion', 'colour', 'shape')).text()}?"
        case "how" if scene.things.count(mover.thing) == 1:
            return f"How does the {mover.thing.colour} {mover.thing.shape} move?"
        case "what" if len({other.thing for other in scene.movers if other.motion == mover.motion}) == 1:
            return f"What is {mover.motion}?"
    return None


def _one_near(scene: MovingScene, rng: random.Random, kinds: tuple[str, ...]) -> Mover:
    """One that is there or, as often, one that is not but differs in one of these attributes from one that is."""
    mover = rng.choice(scene.movers)
    if rng.random() < 0.5:
        return mover
    there = {(m.thing, m.motion if "motion" in kinds else None) for m in scene.movers}
    while True:
        thing, motion = mover.thing, mover.motion
        match rng.choice(kinds):
            case "colour":
                thing = Thing(rng.choice(COLOURS), thing.shape)
            case "shape":
                thing = Thing(thing.colour, rng.choice(SHAPES))
            case "motion":
                motion = rng.choice(MOTIONS)
        if (thing, motion if "motion" in kinds else None) not in there:
            return Mover(thing, motion)


def _near_miss(scene: MovingScene, rng: random.Random, of_held_out: bool) -> MovingScene:
    """A scene of one part with one thing about it changed, or more where there is no such scene."""
    for attempt in itertools.count():
        near = scene
        for _ in range(1 + attempt // 30):
            near = misread_clip(near, rng)
        if near != scene and held_out(near.caption()) == of_held_out:
            break
    return near

"""Captions of moving scenes: one or two things, and how each of them moves."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from urm_ray.scenes.grammar import COLOURS, SHAPES, Thing, held_out

STEPS = {"staying still": (0, 0), "moving left": (-1, 0), "moving right": (1, 0), "moving up": (0, -1)} | {
    "moving down": (0, 1)
}
"""Each motion with its direction (x to the right, y down)."""
MOTIONS = tuple(STEPS)


@dataclass(frozen=True)
class Mover:
    """A thing and its motion."""

    thing: Thing
    motion: str

    def __post_init__(self) -> None:
        if self.motion not in MOTIONS:
            raise ValueError(f"a motion is one of {', '.join(MOTIONS)}, not {self.motion!r}")

    def text(self, count: int = 1) -> str:
        return f"{self.thing.text(count)} {self.motion}"

    @property
    def rank(self) -> tuple[int, int, int]:
        return COLOURS.index(self.thing.colour), SHAPES.index(self.thing.shape), MOTIONS.index(self.motion)


@dataclass(frozen=True)
class MovingScene:
    """What a caption of a clip says. Its movers stand in one fixed order, so equal scenes have equal captions."""

    movers: tuple[Mover, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.movers) <= 2:
            raise ValueError(f"a moving scene holds 1 or 2 things, not {len(self.movers)}")
        object.__setattr__(self, "movers", tuple(sorted(self.movers, key=lambda mover: mover.rank)))

    @property
    def things(self) -> tuple[Thing, ...]:
        return tuple(mover.thing for mover in self.movers)

    def caption(self) -> str:
        return " and ".join(mover.text(count) for mover, count in Counter(self.movers).items())


@cache
def all_scenes() -> tuple[MovingScene, ...]:
    """Every moving scene there is, each with a caption of its own."""
    movers = [Mover(Thing(c, s), m) for c in COLOURS for s in SHAPES for m in MOTIONS]
    pairs = itertools.combinations_with_replacement(movers, 2)
    return tuple(MovingScene(group) for group in itertools.chain(((mover,) for mover in movers), pairs))


@cache
def _by_caption() -> dict[str, MovingScene]:
    return {scene.caption(): scene for scene in all_scenes()}


def parse(caption: str) -> MovingScene:
    """The moving scene that a caption tells of; ValueError when the caption is not of this world."""
    scene = _by_caption().get(" ".join(caption.split()))
    if scene is None:
        raise ValueError(f"not a caption of a clip of the embedded world: {caption[:80]!r}")
    return scene


def captions(split_held_out: bool, key: Callable[[str], str]) -> list[str]:
    """All captions of one part, ordered by `key`, one thing and two in turn as long as both last."""
    scenes = [s for s in all_scenes() if held_out(s.caption()) == split_held_out]
    kinds = [sorted((s.caption() for s in scenes if len(s.movers) == n), key=key) for n in (1, 2)]
    return [caption for turn in itertools.zip_longest(*kinds) for caption in turn if caption is not None]


def sample_scene(rng: random.Random) -> MovingScene:
    """A moving scene drawn by kind first, so that single things are not drowned by the many pairs."""
    one, two = (Mover(Thing(rng.choice(COLOURS), rng.choice(SHAPES)), rng.choice(MOTIONS)) for _ in range(2))
    draw = rng.random()
    return MovingScene((one,) if draw < 0.4 else (one, one) if draw < 0.5 else (one, two))


def misread_clip(scene: MovingScene, rng: random.Random) -> MovingScene:
    """The scene with exactly one thing about it wrong: a colour, a shape, a motion or the count."""
    movers = list(scene.movers)
    i = rng.randrange(len(movers))
    thing, motion = movers[i].thing, movers[i].motion
    match rng.choice(("colour", "shape", "motion", "motion", "count")):
        case "colour":
            movers[i] = Mover(Thing(rng.choice([c for c in COLOURS if c != thing.colour]), thing.shape), motion)
        case "shape":
            movers[i] = Mover(Thing(thing.colour, rng.choice([s for s in SHAPES if s != thing.shape])), motion)
        case "motion":
            movers[i] = Mover(thing, rng.choice([m for m in MOTIONS if m != motion]))
        case "count":
            if len(movers) == 2:
                del movers[i]
            else:
                movers.append(movers[i])
    return MovingScene(tuple(movers))


@dataclass(frozen=True)
class ClipDifferences:
    """What is wrong with a drawn clip, in numbers of colours, shapes, motions, and missing or extra things."""

    colours: int = 0
    shapes: int = 0
    motions: int = 0
    count: int = 0

    @property
    def total(self) -> int:
        return self.colours + self.shapes + self.motions + self.count


def differences(asked: MovingScene, drawn: MovingScene) -> ClipDifferences:
    """How a drawn clip differs from the asked one; its things are matched so that the fewest things are wrong."""
    short, long = sorted((asked.movers, drawn.movers), key=len)
    matchings = (list(zip(short, chosen, strict=True)) for chosen in itertools.permutations(long, len(short)))
    wrong = (
        ClipDifferences(
            sum(a.thing.colour != b.thing.colour for a, b in pairs),
            sum(a.thing.shape != b.thing.shape for a, b in pairs),
            sum(a.motion != b.motion for a, b in pairs),
            len(long) - len(short),
        )
        for pairs in matchings
    )
    return min(wrong, key=lambda d: (d.total, d.colours, d.shapes))

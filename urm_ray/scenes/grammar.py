"""Captions of the embedded world: what a scene says, and every caption there is."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

COLOURS = ("red", "green", "blue", "yellow", "purple", "black")
SHAPES = ("circle", "square", "triangle", "cross")
RELATIONS = ("left of", "right of", "above", "below")
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
NUMBERS = {1: "a", 2: "two", 3: "three"}


@dataclass(frozen=True, order=True)
class Thing:
    """A shape with its colour."""

    colour: str
    shape: str

    def text(self, count: int = 1) -> str:
        plural = "" if count == 1 else "es" if self.shape.endswith("s") else "s"
        return f"{NUMBERS[count]} {self.colour} {self.shape}{plural}"


@dataclass(frozen=True)
class Scene:
    """What a caption says: one to three things and, between two of them, at most one relation.

    With a relation there are exactly two things and `things[0]` is `relation` of `things[1]`.
    """

    things: tuple[Thing, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.things) <= 3:
            raise ValueError(f"a scene holds 1 to 3 things, not {len(self.things)}")
        if self.relation is not None and (len(self.things) != 2 or self.relation not in RELATIONS):
            raise ValueError(f"a relation is one of {RELATIONS} between two things")

    @property
    def counts(self) -> Counter[Thing]:
        return Counter(self.things)

    def caption(self) -> str:
        if self.relation:
            first, second = self.things
            return f"{first.text()} {self.relation} {second.text()}"
        return " and ".join(thing.text(count) for thing, count in self.counts.items())


@cache
def all_scenes() -> tuple[Scene, ...]:
    """Every scene the grammar can say, in a fixed order, one for each distinct caption."""
    things = [Thing(colour, shape) for colour in COLOURS for shape in SHAPES]
    scenes = [Scene((thing,) * count) for count in (1, 2, 3) for thing in things]
    scenes += [Scene(pair) for pair in itertools.combinations(things, 2)]
    for first, second in itertools.permutations(things, 2):
        scenes += [Scene((first, second), relation) for relation in RELATIONS]
        scenes.append(Scene((first, first, second)))
    return tuple(scenes)


@cache
def _by_caption() -> dict[str, Scene]:
    return {scene.caption(): scene for scene in all_scenes()}


def parse(caption: str) -> Scene:
    """The scene that a caption tells of; ValueError when the caption is not of this world."""
    scene = _by_caption().get(" ".join(caption.split()))
    if scene is None:
        raise ValueError(f"not a caption of the embedded world: {caption[:80]!r}")
    return scene


def is_caption(text: str) -> bool:
    """Whether the grammar says exactly this; a changed scene may need its things in another order."""
    return text in _by_caption()


def held_out(caption: str, share: float = 0.4) -> bool:
    """Whether a caption belongs to the part (of size `share`) that is kept for evaluation; fixed by its text alone."""
    return int(hashlib.sha256(caption.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF < share


def captions(split_held_out: bool, key: Callable[[str], str]) -> list[str]:
    """All captions of one part, ordered by `key`, with and without a relation in turn as long as both last.

    There are far more captions with a relation; taken as they come they would drown the others.
    """
    scenes = [s for s in all_scenes() if held_out(s.caption()) == split_held_out]
    kinds = [
        sorted((s.caption() for s in scenes if (s.relation is not None) == related), key=key)
        for related in (True, False)
    ]
    mixed = [caption for turn in itertools.zip_longest(*kinds) for caption in turn]
    return [caption for caption in mixed if caption is not None]


def sample_scene(rng: random.Random, relation_share: float = 0.5) -> Scene:
    """A scene drawn by kind first, so that single things and counts are not drowned by the many relations."""
    thing, other = (Thing(rng.choice(COLOURS), rng.choice(SHAPES)) for _ in range(2))
    draw = rng.random()
    if draw < relation_share:
        while other == thing:
            other = Thing(rng.choice(COLOURS), rng.choice(SHAPES))
        return Scene((thing, other), rng.choice(RELATIONS))
    draw = (draw - relation_share) / (1 - relation_share)
    if draw < 0.25 or other == thing:
        return Scene((thing,))
    if draw < 0.5:
        return Scene((thing,) * rng.choice((2, 3)))
    if draw < 0.75:
        return Scene(tuple(sorted((thing, other), key=lambda t: (COLOURS.index(t.colour), SHAPES.index(t.shape)))))
    return Scene((thing, thing, other))


def misread(scene: Scene, rng: random.Random) -> Scene:
    """The scene with exactly one thing about it wrong: a colour, a shape, the count or the relation."""
    kinds = ["colour", "shape", "count"] + (["relation"] * 2 if scene.relation else [])
    things = list(scene.things)
    i = rng.randrange(len(things))
    match rng.choice(kinds):
        case "colour":
            things[i] = Thing(rng.choice([c for c in COLOURS if c != things[i].colour]), things[i].shape)
        case "shape":
            things[i] = Thing(things[i].colour, rng.choice([s for s in SHAPES if s != things[i].shape]))
        case "count":
            if len(things) == 3 or (len(things) == 2 and rng.random() < 0.5):
                del things[i]
            else:
                things.append(things[i])
            return Scene(tuple(things))
        case "relation":
            assert scene.relation is not None
            return Scene(scene.things, OPPOSITE[scene.relation])
    if len(set(things)) == 1:
        return Scene(tuple(things))
    return Scene(tuple(things), scene.relation)


@dataclass(frozen=True)
class Differences:
    """What is wrong with a drawn scene, in numbers of colours, shapes, missing or extra things, and the relation."""

    colours: int = 0
    shapes: int = 0
    count: int = 0
    relation: int = 0

    @property
    def total(self) -> int:
        return self.colours + self.shapes + self.count + self.relation


def differences(asked: Scene, drawn: Scene) -> Differences:
    """How a drawn scene differs from the asked one; its things are matched so that the fewest things are wrong.

    The relation is judged only where all the asked things are there, and nothing else.
    """
    short, long = sorted((asked.things, drawn.things), key=len)
    _, colours, shapes = min(
        (colours + shapes, colours, shapes)
        for chosen in itertools.permutations(long, len(short))
        for colours in [sum(a.colour != b.colour for a, b in zip(short, chosen, strict=True))]
        for shapes in [sum(a.shape != b.shape for a, b in zip(short, chosen, strict=True))]
    )
    relation = False
    if asked.relation and Counter(asked.things) == Counter(drawn.things):
        mirrored = Scene(drawn.things[::-1], OPPOSITE[drawn.relation]) if drawn.relation else drawn
        relation = asked not in (drawn, mirrored)
    return Differences(colours, shapes, len(long) - len(short), int(relation))


def wrongness(asked: Scene, drawn: Scene) -> int:
    """How many things are wrong with a drawn scene: the sum of its differences."""
    return differences(asked, drawn).total

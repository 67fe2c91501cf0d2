"""Questions about pictures with their true answers, from the grammar. None of them asks what people prefer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from urm_ray.scenes.grammar import (
    COLOURS,
    OPPOSITE,
    SHAPES,
    Scene,
    Thing,
    differences,
    is_caption,
    misread,
)

COUNT_WORDS = {1: "one", 2: "two", 3: "three"}
AMOUNT_WORDS = ("none", "one", "two", "three")
STRENGTH_WORDS = ("none", "weak", "medium", "strong")
QUALITY_WORDS = {None: "sharp", "blur": "blurred", "noise": "noisy", "broken": "broken"}
PARTS = {"colours": "colours", "shapes": "shapes", "things": "total"}
"""What can be asked to be counted as wrong, with its name in `Differences`."""
ONE = {
    "describe": 4,
    "count": 1,
    "colour": 1,
    "shape": 1,
    "exists": 3,
    "quality": 1,
    "strength": 2,
    "shown": 3,
    "wrong": 6,
    "relation": 2,
}
"""Kinds of question about one picture with their shares."""
TWO = {
    "describe": 3,
    "exists": 2,
    "which has": 2,
    "quality": 1,
    "strength": 2,
    "stronger": 2,
    "shown": 2,
    "which shows": 3,
    "wrong": 6,
    "more": 5,
}


@dataclass(frozen=True)
class View:
    """What is in a picture: the scene as drawn and its fault of quality, if any."""

    scene: Scene
    fault: str | None = None
    strength: int = 0


@dataclass(frozen=True)
class Exchange:
    """A question and its true answer. `known` is what is wrong, in numbers, with each candidate that it is about: with
    pictures or clips where the question gives a caption, or with the answers that it gives."""

    question: str
    answer: str
    known: tuple[Mapping[str, int], ...] = ()


def shows(view: View, asked: Scene) -> bool:
    """Whether the drawn scene is the captioned one; a drawn relation also shows the plain "and" of its things."""
    same = Counter(view.scene.things) == Counter(asked.things)
    if asked.relation is None:
        return same
    if view.scene.relation is None:
        return False
    mirrored = Scene(view.scene.things[::-1], OPPOSITE[view.scene.relation])
    return asked in (view.scene, mirrored)


def about_one(view: View, rng: random.Random) -> Exchange:
    """A question about a single picture."""
    things = view.scene.things
    match rng.choices(list(ONE), list(ONE.values()))[0]:
        case "describe":
            return Exchange("Describe the image.", view.scene.caption())
        case "count":
            return Exchange("How many shapes are there?", COUNT_WORDS[len(things)])
        case "colour":
            thing = rng.choice(things)
            if sum(other.shape == thing.shape for other in things) == 1:
                return Exchange(f"What colour is the {thing.shape}?", thing.colour)
        case "shape":
            thing = rng.choice(things)
            if sum(other.colour == thing.colour for other in things) == 1:
                return Exchange(f"Which shape is {thing.colour}?", thing.shape)
        case "exists":
            thing, there = _thing_near(view.scene, rng)
            return Exchange(f"Is there {thing.text()}?", yes(there))
        case "quality":
            return Exchange("Is the image sharp, blurred, noisy or broken?", QUALITY_WORDS[view.fault])
        case "strength":
            return Exchange("How strong is the fault?", STRENGTH_WORDS[view.strength])
        case "relation" if view.scene.relation:
            asked = view.scene if rng.random() < 0.5 else Scene(things, OPPOSITE[view.scene.relation])
            return _captioned(asked, [view], "Does the image show this?", yes(shows(view, asked)))
        case "wrong":
            part, name = rng.choice(list(PARTS.items()))
            asked = caption_near(view.scene, rng, rng.randrange(4))
            return _captioned(asked, [view], f"How many {part} are wrong?", _amount(asked, view, name))
    asked = caption_near(view.scene, rng, rng.randrange(2))
    return _captioned(asked, [view], "Does the image show this?", yes(shows(view, asked)))


def about_two(first: View, second: View, rng: random.Random) -> Exchange:
    """A question about two pictures, named Image 1 and Image 2."""
    both = [first, second]
    number, view = rng.choice(list(enumerate(both, start=1)))
    asked = caption_near(rng.choice(both).scene, rng, rng.randrange(4))
    match rng.choices(list(TWO), list(TWO.values()))[0]:
        case "describe":
            return Exchange(f"Describe image {number}.", view.scene.caption())
        case "exists":
            thing, there = _thing_near(view.scene, rng)
            return Exchange(f"Is there {thing.text()} in image {number}?", yes(there))
        case "which has":
            thing = rng.choice(view.scene.things)
            return Exchange(
                f"Which image has {thing.text()}?", which(thing in first.scene.things, thing in second.scene.things)
            )
        case "quality":
            fault = rng.choice([f for f in QUALITY_WORDS if f] + [v.fault for v in both if v.fault])
            return Exchange(
                f"Which image is {QUALITY_WORDS[fault]}?", which(first.fault == fault, second.fault == fault)
            )
        case "strength":
            return Exchange(f"How strong is the fault of image {number}?", STRENGTH_WORDS[view.strength])
        case "stronger":
            word, sign = rng.choice((("stronger", 1), ("weaker", -1)))
            answer = more(sign * first.strength, sign * second.strength)
            return Exchange(f"Which image has the {word} fault?", answer)
        case "shown":
            asked = caption_near(view.scene, rng, rng.randrange(2))
            return _captioned(asked, both, f"Does image {number} show this?", yes(shows(view, asked)))
        case "which shows":
            asked = caption_near(view.scene, rng, 0)
            return _captioned(asked, both, "Which image shows this?", which(shows(first, asked), shows(second, asked)))
        case "wrong":
            part, name = rng.choice(list(PARTS.items()))
            return _captioned(asked, both, f"How many {part} are wrong in image {number}?", _amount(asked, view, name))
    # Asked both ways: one way alone would be an inclination to the worse picture or to the better one.
    word, sign = rng.choice((("more", 1), ("fewer", -1)))
    wrong = [sign * differences(asked, v.scene).total for v in both]
    return _captioned(asked, both, f"Which image has {word} things wrong?", more(*wrong))


def about(views: Sequence[View], rng: random.Random) -> Exchange:
    """A question about one picture or two."""
    return about_one(views[0], rng) if len(views) == 1 else about_two(views[0], views[1], rng)


def _captioned(asked: Scene, views: Sequence[View], question: str, answer: str) -> Exchange:
    wrong = [differences(asked, view.scene) for view in views]
    known = [{**vars(w), "total": w.total, "strength": view.strength} for w, view in zip(wrong, views, strict=True)]
    return Exchange(f"Caption: {asked.caption()}\n{question}", answer, tuple(known))


def _thing_near(scene: Scene, rng: random.Random) -> tuple[Thing, bool]:
    """A thing that is there or, as often, one that is not but shares a colour or shape with one that is."""
    thing = rng.choice(scene.things)
    if rng.random() < 0.5:
        return thing, True
    while thing in scene.things:
        colour, shape = rng.choice(scene.things).colour, rng.choice(scene.things).shape
        if rng.random() < 0.5:
            colour = rng.choice(COLOURS)
        else:
            shape = rng.choice(SHAPES)
        thing = Thing(colour, shape)
    return thing, False


def caption_near(scene: Scene, rng: random.Random, changes: int) -> Scene:
    """A scene that the grammar has a caption for, with so many changes; one more where there is no caption without."""
    while True:
        near = scene
        for _ in range(changes):
            near = misread(near, rng)
        if is_caption(near.caption()):
            return near
        changes = max(1, changes)


def _amount(asked: Scene, view: View, name: str) -> str:
    return amount(getattr(differences(asked, view.scene), name))


def amount(number: int) -> str:
    return AMOUNT_WORDS[min(3, number)]


def yes(true: bool) -> str:
    return "yes" if true else "no"


def which(first: bool, second: bool) -> str:
    return {(True, True): "both", (True, False): "the first", (False, True): "the second"}.get(
        (first, second), "neither"
    )


def more(first: int, second: int) -> str:
    return "the first" if first > second else "the second" if second > first else "neither"

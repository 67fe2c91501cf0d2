"""Questions about pictures with their true answers, from the grammar."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from urm_ray.scenes.grammar import COLOURS, OPPOSITE, RELATIONS, SHAPES, Scene, Thing, is_caption, misread, wrongness

COUNT_WORDS = {1: "one", 2: "two", 3: "three"}
AMOUNT_WORDS = ("none", "one", "two", "three")
STRENGTH_WORDS = ("none", "weak", "medium", "strong")
QUALITY_WORDS = {None: "sharp", "blur": "blurred", "noise": "noisy", "broken": "broken"}


@dataclass(frozen=True)
class View:
    """What is in a picture: the scene as drawn and its fault of quality, if any."""

    scene: Scene
    fault: str | None = None
    strength: int = 0


def _thing_near(scene: Scene, rng: random.Random, true: bool) -> Thing:
    thing = rng.choice(scene.things)
    if true:
        return thing
    while thing in scene.things:
        colour, shape = rng.choice(scene.things).colour, rng.choice(scene.things).shape
        if rng.random() < 0.5:
            colour = rng.choice(COLOURS)
        else:
            shape = rng.choice(SHAPES)
        thing = Thing(colour, shape)
    return thing


def _caption_far(scene: Scene, rng: random.Random) -> Scene:
    """A scene with none to three things changed, which the grammar has a caption for."""
    far = scene
    for _ in range(rng.randrange(4)):
        far = misread(far, rng)
    return far if is_caption(far.caption()) else scene


def shows(view: View, caption_scene: Scene) -> bool:
    """Whether the drawn scene is the captioned one; a drawn relation also shows the plain "and" of its things."""
    same = Counter(view.scene.things) == Counter(caption_scene.things)
    if caption_scene.relation is None:
        return same
    if view.scene.relation is None:
        return False
    mirrored = Scene(view.scene.things[::-1], OPPOSITE[view.scene.relation])
    return caption_scene in (view.scene, mirrored)


def about_one(view: View, rng: random.Random) -> tuple[str, str]:
    """A question about a single picture and its answer."""
    scene, things = view.scene, view.scene.things
    yes = rng.random() < 0.5
    kinds = [
        "describe",
        "count",
        "colour",
        "shape",
        "exists",
        "exists",
        "relation",
        "relation",
        *["caption"] * 3,
        "quality",
        "strength",
        "wrong",
        "wrong",
    ]
    match rng.choice(kinds):
        case "describe":
            return "Describe the image.", scene.caption()
        case "count":
            return "How many shapes are there?", COUNT_WORDS[len(things)]
        case "colour":
            unique = [t for t in things if sum(o.shape == t.shape for o in things) == 1]
            if unique:
                thing = rng.choice(unique)
                return f"What colour is the {thing.shape}?", thing.colour
        case "shape":
            unique = [t for t in things if sum(o.colour == t.colour for o in things) == 1]
            if unique:
                thing = rng.choice(unique)
                return f"Which shape is {thing.colour}?", thing.shape
        case "exists":
            return f"Is there {_thing_near(scene, rng, yes).text()}?", "yes" if yes else "no"
        case "relation":
            if scene.relation:
                relation = scene.relation if yes else rng.choice([r for r in RELATIONS if r != scene.relation])
                first, second = things
                return f"Is the {first.text()[2:]} {relation} the {second.text()[2:]}?", "yes" if yes else "no"
        case "quality":
            return "Is the image sharp, blurred, noisy or broken?", QUALITY_WORDS[view.fault]
        case "strength":
            return "How strong is the fault of the image?", STRENGTH_WORDS[view.strength]
        case "wrong":
            asked = _caption_far(scene, rng)
            question = f"How many things of {asked.caption()} are wrong in the image?"
            return question, AMOUNT_WORDS[min(3, wrongness(asked, scene))]
    asked = scene if yes else misread(scene, rng)
    return f"Does the image show {asked.caption()}?", "yes" if shows(view, asked) else "no"


def about_two(first: View, second: View, rng: random.Random) -> tuple[str, str]:
    """A question about two pictures, named Image 1 and Image 2, and its answer."""
    number, view = rng.choice([(1, first), (2, second)])
    yes = rng.random() < 0.5
    kinds = [
        "exists",
        "thing",
        "describe",
        "quality",
        "strength",
        "stronger",
        "wrong",
        "one",
        "which",
        "which",
        "more",
        "more",
    ]
    match rng.choice(kinds):
        case "one":
            asked = view.scene if yes else misread(view.scene, rng)
            return f"Does image {number} show {asked.caption()}?", "yes" if shows(view, asked) else "no"
        case "exists":
            return f"Is there {_thing_near(view.scene, rng, yes).text()} in image {number}?", "yes" if yes else "no"
        case "strength":
            return f"How strong is the fault of image {number}?", STRENGTH_WORDS[view.strength]
        case "stronger":
            answer = _which(first.strength > second.strength, second.strength > first.strength)
            return "Which image has the stronger fault?", answer
        case "wrong":
            asked = _caption_far(view.scene, rng)
            question = f"How many things of {asked.caption()} are wrong in image {number}?"
            return question, AMOUNT_WORDS[min(3, wrongness(asked, view.scene))]
        case "more":
            asked = _caption_far(view.scene, rng)
            counts = [min(3, wrongness(asked, v.scene)) for v in (first, second)]
            answer = _which(counts[0] > counts[1], counts[1] > counts[0])
            return f"Which image has more things of {asked.caption()} wrong?", answer
        case "describe":
            return f"Describe image {number}.", view.scene.caption()
        case "thing":
            thing = rng.choice(rng.choice([first, second]).scene.things)
            return f"Which image has {thing.text()}?", _which(thing in first.scene.things, thing in second.scene.things)
        case "quality":
            fault = rng.choice([f for f in QUALITY_WORDS if f] + [v.fault for v in (first, second) if v.fault])
            answer = _which(first.fault == fault, second.fault == fault)
            return f"Which image is {QUALITY_WORDS[fault]}?", answer
    asked = rng.choice([first, second]).scene
    return f"Which image shows {asked.caption()}?", _which(shows(first, asked), shows(second, asked))


def _which(first: bool, second: bool) -> str:
    return {(True, True): "both", (True, False): "the first", (False, True): "the second"}.get(
        (first, second), "neither"
    )

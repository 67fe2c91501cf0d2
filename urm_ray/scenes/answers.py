"""Questions about pictures of the embedded world, and answers to them with a known number of mistakes."""

from __future__ import annotations

import random
from dataclasses import dataclass

from urm_ray.scenes.descriptions import Description
from urm_ray.scenes.grammar import COLOURS, OPPOSITE, SHAPES, Scene, Thing, held_out, sample_scene
from urm_ray.scenes.questions import View, about_one
from urm_ray.scenes.truth import Facts, Question

KINDS = {"describe": 8, "count": 2, "colour": 2, "shape": 2, "exists": 3, "shown": 3}
"""Kinds of question with their shares; descriptions can go wrong in the most ways."""
_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}


def one_way(scene: Scene, rng: random.Random) -> Scene:
    """The one scene among those that look alike: two different things have a relation, drawn where there is none; left
    comes before right, above before below."""
    if len(scene.things) != 2 or scene.things[0] == scene.things[1]:
        return scene
    relation = scene.relation or rng.choice(("left of", "above"))
    if relation in ("left of", "above"):
        return Scene(scene.things, relation)
    return Scene(scene.things[::-1], OPPOSITE[relation])


def draw_scene(rng: random.Random, of_held_out: bool) -> Scene:
    """A scene of one part. What looks alike is of the same part, so that no picture of one is like one of the other."""
    while True:
        scene = one_way(sample_scene(rng), rng)
        if held_out(scene.caption()) == of_held_out:
            return scene


def draw_question(scene: Scene, rng: random.Random, of_held_out: bool) -> str:
    """A question about a picture of the scene, in the words that base models are taught.

    A caption that it quotes is of the same part, and as often wrong as right.
    """
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    shown = rng.random() < 0.5
    for _ in range(500):
        text = about_one(View(scene), rng).question
        try:
            question = Question.of(text)
        except ValueError:  # about the quality of the picture, or how wrong a caption is
            continue
        if question.kind == kind and (
            question.caption is None
            or (_of_part(question.caption, of_held_out, rng) and Facts.known(scene).shows(question.caption) == shown)
        ):
            return text
    return "Describe the image."  # nothing of the kind can be asked, such as the colour of one of two circles


def _of_part(caption: Scene, of_held_out: bool, rng: random.Random) -> bool:
    return held_out(caption.caption()) == held_out(one_way(caption, rng).caption()) == of_held_out


@dataclass(frozen=True)
class Answer:
    """An answer with what is wrong about it.

    false: statements that do not hold. missing: things and relations that a description leaves out. answered: whether
    what was asked is told rightly, as far as it is told. remarks: each mistake in words.
    """

    text: str
    false: int = 0
    missing: int = 0
    answered: bool = True
    remarks: tuple[str, ...] = ()


def write_answer(text: str, scene: Scene, rng: random.Random, mistakes: int, leave_out: bool = False) -> Answer:
    """An answer to a question about a picture of the scene, with so many false statements.

    Other questions than for a description are answered in short, and some answers go on to describe the picture.
    leave_out: a description also leaves something out, where it can.
    """
    question = Question.of(text)
    if question.kind == "describe":
        description = Description.of(scene)
        if leave_out:
            description.leave_out(rng)
        for _ in range(mistakes):
            description.mistake(rng)
        return Answer(description.text(rng), description.false, description.missing, remarks=tuple(description.remarks))
    wrong = mistakes > 0 and rng.random() < 0.6
    direct, spoken_of = _short(question, scene, rng, wrong)
    remarks = ["the answer to the question is wrong"] * wrong
    if mistakes == wrong and rng.random() < 0.6:
        return Answer(direct, mistakes, 0, not wrong, tuple(remarks))
    description = Description.of(scene, spoken_of)
    for _ in range(mistakes - wrong):
        description.mistake(rng)
    direct = direct[0].upper() + direct[1:].rstrip(".")
    remarks += description.remarks
    return Answer(f"{direct}. {description.text(rng, sentence=True)}", mistakes, 0, not wrong, tuple(remarks))


def _short(question: Question, scene: Scene, rng: random.Random, wrong: bool) -> tuple[str, list[Thing]]:
    """A right or wrong answer in a word or a sentence, and the things it speaks of."""
    match question.kind:
        case "count":
            number = len(scene.things)
            if wrong:
                number = rng.choice([n for n in _COUNTS if n != number])
            shapes = "is one shape" if number == 1 else f"are {_COUNTS[number]} shapes"
            return rng.choice([_COUNTS[number], str(number), f"There {shapes}."]), []
        case "colour":
            (colour,) = {thing.colour for thing in scene.things if thing.shape == question.shape}
            if wrong:
                colour = rng.choice([c for c in COLOURS if c != colour])
            sentences = [colour, f"It is {colour}.", f"The {question.shape} is {colour}."]
            return rng.choice(sentences), [Thing(colour, str(question.shape))]
        case "shape":
            (shape,) = {thing.shape for thing in scene.things if thing.colour == question.colour}
            if wrong:
                shape = rng.choice([s for s in SHAPES if s != shape])
            sentences = [shape, f"It is a {shape}.", f"The {shape} is {question.colour}."]
            return rng.choice(sentences), [Thing(str(question.colour), shape)]
        case "exists":
            thing = Thing(str(question.colour), str(question.shape))
            yes = (thing in scene.things) != wrong
            sentence = f"Yes, there is {thing.text()}." if yes else f"No, there is no {thing.colour} {thing.shape}."
            return rng.choice(["yes" if yes else "no", sentence]), [thing]
    assert question.caption is not None
    yes = Facts.known(scene).shows(question.caption) != wrong
    return rng.choice(["yes", "Yes, it does."] if yes else ["no", "No, it does not."]), []

"""Questions about pictures of the embedded world, and answers to them with a known number of mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from urm_ray.scenes.descriptions import Description, Telling
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
        return described(Description.of(scene), rng, mistakes, leave_out)

    def reply(wrong: bool) -> tuple[str, Telling]:
        if question.caption is not None:
            return yes_or_no(Facts.known(scene).shows(question.caption) != wrong, rng), Description.of(scene)
        direct, spoken_of = short(question.kind, question.colour, question.shape, scene.things, rng, wrong)
        return direct, Description.of(scene, spoken_of)

    return answered(reply, rng, mistakes)


def described(telling: Telling, rng: random.Random, mistakes: int, leave_out: bool) -> Answer:
    """An answer to a question for a description."""
    if leave_out:
        telling.leave_out(rng)
    for _ in range(mistakes):
        telling.mistake(rng)
    return Answer(telling.text(rng), telling.false, telling.missing, remarks=tuple(telling.remarks))


def answered(reply: Callable[[bool], tuple[str, Telling]], rng: random.Random, mistakes: int) -> Answer:
    """A short answer, which may be among what is wrong, with or without a description behind it.

    reply: gives a wrong or right answer in a word or a sentence, and how a description goes on from it.
    """
    wrong = mistakes > 0 and rng.random() < 0.6
    direct, telling = reply(wrong)
    remarks = ["the answer to the question is wrong"] * wrong
    if mistakes == wrong and rng.random() < 0.6:
        return Answer(direct, mistakes, 0, not wrong, tuple(remarks))
    for _ in range(mistakes - wrong):
        telling.mistake(rng)
    direct = direct[0].upper() + direct[1:].rstrip(".")
    remarks += telling.remarks
    return Answer(f"{direct}. {telling.text(rng, sentence=True)}", mistakes, 0, not wrong, tuple(remarks))


def short(
    kind: str, colour: str | None, shape: str | None, things: Sequence[Thing], rng: random.Random, wrong: bool
) -> tuple[str, list[Thing]]:
    """A right or wrong answer to what is asked of these things, and the things it speaks of; ValueError for a kind of
    question that is not about things."""
    match kind:
        case "count":
            number = len(things)
            if wrong:
                number = rng.choice([n for n in _COUNTS if n != number])
            shapes = "is one shape" if number == 1 else f"are {_COUNTS[number]} shapes"
            return rng.choice([_COUNTS[number], str(number), f"There {shapes}."]), []
        case "colour":
            (colour,) = {thing.colour for thing in things if thing.shape == shape}
            if wrong:
                colour = rng.choice([c for c in COLOURS if c != colour])
            return rng.choice([colour, f"It is {colour}.", f"The {shape} is {colour}."]), [Thing(colour, str(shape))]
        case "shape":
            (shape,) = {thing.shape for thing in things if thing.colour == colour}
            if wrong:
                shape = rng.choice([s for s in SHAPES if s != shape])
            return rng.choice([shape, f"It is a {shape}.", f"The {shape} is {colour}."]), [Thing(str(colour), shape)]
        case "exists":
            thing = Thing(str(colour), str(shape))
            return is_there(thing.text(), (thing in things) != wrong, rng), [thing]
    raise ValueError(f"no question about things: {kind!r}")


def is_there(named: str, yes: bool, rng: random.Random) -> str:
    """Whether there is what is named with its article."""
    sentence = f"Yes, there is {named}." if yes else f"No, there is no {named.partition(' ')[2]}."
    return rng.choice(["yes" if yes else "no", sentence])


def yes_or_no(yes: bool, rng: random.Random) -> str:
    """Whether it does."""
    return rng.choice(["yes", "Yes, it does."] if yes else ["no", "No, it does not."])

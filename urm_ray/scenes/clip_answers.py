"""Answers to questions about clips of the embedded world, with a known number of mistakes."""

from __future__ import annotations

import random
from collections import Counter

from urm_ray.scenes.answers import Answer, answered, described, is_there, short, yes_or_no
from urm_ray.scenes.clip_descriptions import ClipDescription, Moving, said
from urm_ray.scenes.clip_questions import ClipQuestion
from urm_ray.scenes.descriptions import Telling
from urm_ray.scenes.grammar import COLOURS, SHAPES, Thing, held_out
from urm_ray.scenes.motion import MOTIONS, Mover, MovingScene, sample_scene


def draw_moving_scene(rng: random.Random, of_held_out: bool) -> MovingScene:
    """A scene of one part. No two scenes look alike, so no clip of one part is like one of the other."""
    while True:
        scene = sample_scene(rng)
        if held_out(scene.caption()) == of_held_out:
            return scene


def write_clip_answer(
    text: str, scene: MovingScene, rng: random.Random, mistakes: int, leave_out: bool = False
) -> Answer:
    """An answer to a question about a clip of the scene, with so many false statements.

    Other questions than for a description are answered in short, and some answers go on to describe the clip.
    leave_out: a description also leaves out a thing or a motion.
    """
    question = ClipQuestion.of(text)
    if question.kind == "describe":
        return described(ClipDescription.of(scene), rng, mistakes, leave_out)

    def reply(wrong: bool) -> tuple[str, Telling]:
        direct, spoken_of = _short(question, scene, rng, wrong)
        return direct, ClipDescription.of(scene, spoken_of)

    return answered(reply, rng, mistakes)


def _short(question: ClipQuestion, scene: MovingScene, rng: random.Random, wrong: bool) -> tuple[str, list[Moving]]:
    """A right or wrong answer in a word or a sentence, and what it speaks of."""
    if question.caption is not None:
        return yes_or_no((question.caption == scene) != wrong, rng), []
    if question.kind == "what":
        return _what(str(question.motion), scene, rng, wrong)
    if question.kind not in ("how", "moving"):
        direct, things = short(question.kind, question.colour, question.shape, scene.things, rng, wrong)
        return direct, [Moving(thing) for thing in things]
    thing = Thing(str(question.colour), str(question.shape))
    if question.kind == "moving":
        mover = Mover(thing, str(question.motion))
        return is_there(mover.text(), (mover in scene.movers) != wrong, rng), [Moving(thing, mover.motion)]
    (motion,) = (mover.motion for mover in scene.movers if mover.thing == thing)
    if wrong:
        motion = rng.choice([m for m in MOTIONS if m != motion])
    sentences = [f"{it} is {said(motion)}." for it in ("It", f"The {thing.colour} {thing.shape}")]
    return rng.choice([motion.removeprefix("moving "), *sentences]), [Moving(thing, motion)]


def _what(motion: str, scene: MovingScene, rng: random.Random, wrong: bool) -> tuple[str, list[Moving]]:
    """What moves so; wrong is another thing that is there, or one that is not."""
    ((thing, number),) = Counter(mover.thing for mover in scene.movers if mover.motion == motion).items()
    if wrong:
        others = [t for t in scene.things if t != thing]
        if not others or rng.random() < 0.5:
            others = [Thing(c, thing.shape) for c in COLOURS] + [Thing(thing.colour, s) for s in SHAPES]
            others = [t for t in others if t not in scene.things]
        thing, number = rng.choice(others), 1
    named = Moving(thing, motion, number)
    phrase = thing.text(number)
    it = "It is" if number == 1 else "They are"
    return rng.choice([phrase, f"{it} {phrase}.", named.sentence()]), [named]

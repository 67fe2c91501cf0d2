"""Human judgements of answers about pictures of the embedded world, in the forms and on the scales of real sources."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from urm_ray.config_training import Task
from urm_ray.media import encode_image
from urm_ray.scenes.answers import Answer, draw_question, draw_scene, write_answer
from urm_ray.scenes.preferences import FLIPPED, TIE_WITHIN
from urm_ray.scenes.render import render
from urm_ray.schema import digest, seed_of
from urm_ray.sources.registry import Part, Rejected, SourceError

SCALES = {"0-100": (0, 100, 5), "1-5": (1, 5, 1)}
"""Lowest score, highest score and the step in which one rater gives them."""
SMALL_SCALE = 0.3
"""Share of training points on 1-5; the others, and all of the consensus, are on 0-100 as in LLaVA-Critic."""
RATER_NOISE = 0.08
"""Standard deviation of one rater's score, as a share of the scale, before rounding."""
EXPLAINED = 0.4
"""Share of rows with a rationale."""
FALSE_COST = 0.22
UNANSWERED_COST = 0.3
MISSING_COST = 0.13


def quality(answer: Answer) -> float:
    """How good people find an answer, in 0..1: they mind what is false, what is left out, and a wrong answer most."""
    cost = FALSE_COST * answer.false + MISSING_COST * min(answer.missing, 3) + UNANSWERED_COST * (not answer.answered)
    return max(0.02, 1.0 - cost)


@dataclass(frozen=True)
class Asked:
    """A question with what it is about, as a `schema.MEDIA` row.

    write: answers it with so many mistakes, and leaves something out or not.
    """

    question: str
    about: dict[str, Any]
    write: Callable[[random.Random, int, bool], Answer]

    def candidate(self, rng: random.Random) -> Answer:
        """An answer with mistakes in graded number."""
        mistakes = rng.choices((0, 1, 2, 3), (0.4, 0.3, 0.2, 0.1))[0]
        return self.write(rng, mistakes, rng.random() < 0.25)


class Answers:
    """The embedded world as a source of questions about pictures and of preferences between answers.

    Training labels are one rater's, with slips. Held-out labels are the consensus: no slips, scores not rounded, all on
    one scale. Pictures of held-out rows and prompts never occur in the training ones, nor any that look alike.
    """

    task: Task = "image_understanding"
    name = "answers"

    def __init__(self, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> None:
        if task != self.task:
            raise SourceError(f"{type(self).__name__} has no rows of {task}")
        self.seed, self.wanted = seed, wanted

    def size(self, part: Part) -> int:
        return self.wanted.get(part, 0)

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        for number in range(start, stop):
            rng = random.Random(seed_of(self.name, self.seed, part, number))
            asked = self._ask(part.startswith("heldout"), rng)
            row = {"task": self.task, "prompt": asked.question, "context": [asked.about], "source": "scenes"}
            name = digest(self.name, self.seed, part, number)
            if part.endswith("prompts"):
                yield row | {"prompt_id": name}
            else:
                judged = self._judged(part, asked, rng)
                yield row | {"preference_id": name, "dimension": None, "label": None, "score": None} | judged

    def _ask(self, of_held_out: bool, rng: random.Random) -> Asked:
        scene = draw_scene(rng, of_held_out)
        question = draw_question(scene, rng, of_held_out)
        return Asked(question, encode_image(render(scene, rng)), partial(write_answer, question, scene))

    def _judged(self, part: Part, asked: Asked, rng: random.Random) -> dict[str, Any]:
        """The columns of the candidates and of what a person, or many, say of them."""
        first = asked.candidate(rng)
        consensus, explained = part.startswith("heldout"), rng.random() < EXPLAINED
        if part.endswith("points"):
            return self._point(first, consensus, rng) | {"rationale": _rationale([first]) if explained else None}
        second = asked.candidate(rng)
        while second.text == first.text:  # both anew: right answers are alike more often than wrong ones
            first, second = asked.candidate(rng), asked.candidate(rng)
        # One who slips takes each answer for the other, in the verdict and in the reasons for it.
        taken = [first, second] if consensus or rng.random() >= FLIPPED else [second, first]
        difference = quality(taken[0]) - quality(taken[1])
        return {
            "kind": "pair",
            "candidates": [{"media": None, "text": answer.text} for answer in (first, second)],
            "label": "tie" if abs(difference) <= TIE_WITHIN else "first" if difference > 0 else "second",
            "scale": None,
            "rationale": _rationale(taken) if explained else None,
        }

    def _scale(self, consensus: bool, rng: random.Random) -> str:
        return "1-5" if not consensus and rng.random() < SMALL_SCALE else "0-100"

    def _point(self, answer: Answer, consensus: bool, rng: random.Random) -> dict[str, Any]:
        name = self._scale(consensus, rng)
        low, high, step = SCALES[name]
        score = low + (high - low) * quality(answer)
        if not consensus:
            score = step * round((score + rng.gauss(0, RATER_NOISE * (high - low))) / step)
        return {
            "kind": "point",
            "candidates": [{"media": None, "text": answer.text}],
            "score": float(min(high, max(low, score))),
            "scale": {"name": name, "minimum": low, "maximum": high},
            "dimension": "overall",
        }


def _rationale(answers: list[Answer]) -> str:
    """What is wrong with each answer, without the verdict."""
    found = [", ".join(answer.remarks) or "nothing is wrong" for answer in answers]
    if len(found) == 1:
        return f"{found[0][0].upper()}{found[0][1:]}."
    return " ".join(f"Answer {number}: {remarks}." for number, remarks in enumerate(found, start=1))

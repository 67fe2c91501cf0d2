"""Whether an answer about a picture is true: an independent scorer of answers that shares nothing with the judge."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from urm_ray.scenes.grammar import COLOURS, SHAPES, Scene, parse
from urm_ray.scenes.oracle import Found, read
from urm_ray.scenes.statements import Claim, Statements, statements

_APART = 3.0  # pixels of the small picture from which one thing is beside or above another
_OFFSETS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
_QUESTIONS = {
    "describe": r"Describe the image\.",
    "count": r"How many shapes are there\?",
    "colour": rf"What colour is the (?P<shape>{'|'.join(SHAPES)})\?",
    "shape": rf"Which shape is (?P<colour>{'|'.join(COLOURS)})\?",
    "exists": rf"Is there an? (?P<colour>{'|'.join(COLOURS)}) (?P<shape>{'|'.join(SHAPES)})\?",
    "shown": r"Caption: (?P<caption>[^\n]*)\nDoes the image show this\?",
}
KINDS = tuple(_QUESTIONS)
NOTHING: dict[str, float | None] = {"true": 0.0, "complete": 0.0, "whole": 0.0, "read": 0.0}
"""The figures of an answer that cannot be understood."""


@dataclass(frozen=True)
class Question:
    """What is asked about a picture; `colour` and `shape` are those that the question names."""

    kind: str
    colour: str | None = None
    shape: str | None = None
    caption: Scene | None = None

    @classmethod
    def of(cls, text: str) -> Question:
        """ValueError when the question is not of this world."""
        for kind, pattern in _QUESTIONS.items():
            if found := re.fullmatch(pattern, text.strip()):
                named = found.groupdict()
                caption = parse(named["caption"]) if "caption" in named else None
                return cls(kind, named.get("colour"), named.get("shape"), caption)
        raise ValueError(f"not a question of the embedded world: {text[:80]!r}")


@dataclass(frozen=True)
class Facts:
    """What is in a picture. Places count only if they are known."""

    found: tuple[Found, ...]
    placed: bool = True

    @classmethod
    def seen(cls, picture: Image.Image) -> Facts:
        """Read off the pixels."""
        return cls(tuple(read(picture)))

    @classmethod
    def known(cls, scene: Scene) -> Facts:
        """Of a picture that shows this scene; its places are known if it has a relation."""
        dx, dy = _OFFSETS[scene.relation] if scene.relation else (0, 0)
        places = [(16 + 8 * dx, 16 + 8 * dy), (16 - 8 * dx, 16 - 8 * dy), (16, 16)]
        things = tuple(Found(t, x, y) for t, (x, y) in zip(scene.things, places, strict=False))
        return cls(things, scene.relation is not None)

    def matching(self, claim: Claim) -> list[Found]:
        return [
            f for f in self.found if claim.colour in (None, f.thing.colour) and claim.shape in (None, f.thing.shape)
        ]

    def holds(self, claim: Claim) -> bool:
        number = len(self.matching(claim))
        return claim.least <= number and (claim.most is None or number <= claim.most)

    def named(self, claims: Iterable[Claim]) -> float:
        """How many of the things are named, where one that is named only in part counts one half."""
        left = list(self.found)
        credit = 0.0
        for claim in sorted(claims, key=lambda claim: None in (claim.colour, claim.shape)):
            for thing in [f for f in left if f in self.matching(claim)][: claim.least]:
                left.remove(thing)
                credit += 0.5 if None in (claim.colour, claim.shape) else 1.0
        return credit

    def related(self, first: Claim, relation: str, second: Claim) -> bool | None:
        """None where places are not known, or one of the two is not there: then that claim is the false one."""
        pairs = [(a, b) for a in self.matching(first) for b in self.matching(second) if a is not b]
        if not self.placed or not pairs:
            return None
        dx, dy = _OFFSETS[relation]
        return any((a.x - b.x) * dx + (a.y - b.y) * dy > _APART for a, b in pairs)

    @property
    def ordered(self) -> bool:
        """Whether a description has to say where things are: of two that differ."""
        return self.placed and len(self.found) == 2 and self.found[0].thing != self.found[1].thing

    def shows(self, scene: Scene) -> bool:
        """Whether this is a picture of the captioned scene and of nothing else."""
        if sorted(f.thing for f in self.found) != sorted(scene.things):
            return False
        if scene.relation is None:
            return True
        first, second = (Claim(t.colour, t.shape) for t in scene.things)
        return self.related(first, scene.relation, second) is True


def figures(question: Question, facts: Facts, answer: str) -> dict[str, float | None]:
    """How right an answer is, each in 0..1.

    `true` is the share of its statements that hold, `complete` how much of what was asked it tells rightly, `whole` 1
    if both are 1. `read` is 0 if it says nothing that can be understood; the others are then 0 too.
    """
    said = direct(question, statements(answer))
    if said.nothing:
        return dict(NOTHING)
    held = [facts.holds(claim) for claim in said.claims]
    held += [total == len(facts.found) for total in said.totals]
    held += [right for r in said.relations if (right := facts.related(*r)) is not None]
    if said.says is not None:
        held.append(said.says == expected(question, facts))
    true = sum(held) / len(held)
    return rated(true, complete(question, facts, said))


def rated(true: float, complete: float) -> dict[str, float | None]:
    """The figures of an answer that can be understood."""
    return {"true": true, "complete": complete, "whole": float(true == complete == 1), "read": 1.0}


def direct(question: Question, said: Statements) -> Statements:
    """The statements with the answer proper spelled out: "red" to a colour, "there is a red circle" for yes."""
    claims = said.claims
    if question.kind == "colour":
        claims = tuple(replace(c, shape=c.shape or question.shape) for c in claims)
    elif question.kind == "shape":
        claims = tuple(replace(c, colour=c.colour or question.colour) for c in claims)
    elif question.kind == "exists":
        about = [c for c in claims if (c.colour, c.shape) == (question.colour, question.shape)]
        says = said.says if said.says is not None or not about else about[0].most != 0
        same = [c for c in about if c.most in (None, 0) and (c.most != 0) == says]
        return replace(said, claims=tuple(c for c in claims if c not in same), says=says)
    return replace(said, claims=claims, says=said.says if question.kind == "shown" else None)


def expected(question: Question, facts: Facts) -> bool:
    """Whether yes is right."""
    if question.caption is not None:
        return facts.shows(question.caption)
    return facts.holds(Claim(question.colour, question.shape))


def complete(question: Question, facts: Facts, said: Statements) -> float:
    if question.kind in ("exists", "shown"):
        return float(said.says is not None and said.says == expected(question, facts))
    if question.kind == "count":
        told = said.totals[0] if said.totals else sum(c.least for c in said.claims)
        return float(told == len(facts.found))
    if question.kind in ("colour", "shape"):
        name = {"colour": "shape", "shape": "colour"}[question.kind]
        about = [c for c in said.claims if getattr(c, name) == getattr(question, name) and c.most != 0]
        named = [replace(c, least=1, most=None) for c in about[:1] if None not in (c.colour, c.shape)]
        return float(any(facts.holds(claim) for claim in named))
    return _covered(facts, said)


def _covered(facts: Facts, said: Statements) -> float:
    """The share of the picture that a description tells: its things, and where they are."""
    told = facts.ordered and any(facts.related(*relation) for relation in said.relations)
    whole = len(facts.found) + facts.ordered
    return (facts.named(said.claims) + told) / whole if whole else 0.0


class Truth:
    """The truth as an independent scorer (`urm_ray.evaluation.scorer.Scorer`) of answers about one picture."""

    def figures(self, prompt: str, answer: str, context: Sequence[Image.Image]) -> dict[str, float | None]:
        return figures(Question.of(prompt), Facts.seen(context[0]), answer)

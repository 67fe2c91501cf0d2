"""How a judge is asked, and what its answers mean.

A protocol knows, for a task and a kind of question, the words around the candidates and the whole set of answers the
judge may give. Reading an answer back is the other half of the same table, so the two can't drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from urm_ray.judge.scale import SCALES, Scale

Kind = Literal["pair", "point"]
Slot = Literal["image", "video", "text"]

# A number that stands alone: no "3,67", "4/10" or "1e1", whose beginning would be taken for the whole.
_SCORE = re.compile(r"Final Score:\s*(-?\d+(?:\.\d+)?)(?=[.,;!)*]*(?:\s|<|$))(?!\s*(?:/|out of\b))")


@dataclass(frozen=True)
class Form:
    """One kind of question of one task.

    `lead` and `asking` have `{prompt}` for the caption or question. `labels` stand before each candidate, which is a
    picture, a clip or a text, as `slot` says. `answers` maps each answer text to its meaning: first, second or tie for
    a pair, a value of the scale for a point.
    """

    asking: str
    labels: tuple[str, ...]
    answers: dict[str, str | int]
    scale: Scale | None = None
    slot: Slot = "image"
    lead: str = ""

    def parts(self, prompt: str, context: Sequence[str] = (), texts: Sequence[str] = ()) -> list[dict[str, str]]:
        """The user's turn as chat content: the context, the lead, each candidate behind its label, the question.

        context: the kind, image or video, of each thing the prompt is about; they get slots. texts: the candidates of
        a form whose slot is text, else none; ValueError if their number is wrong.
        """
        content = [{"type": kind} for kind in context]
        if self.lead:
            content.append(_text(self.lead.replace("{prompt}", prompt)))
        if self.slot == "text":
            content += [_text(f"{label} {text}\n") for label, text in zip(self.labels, texts, strict=True)]
        elif texts:
            raise ValueError(f"candidates of this form are no texts: they fill {self.slot} slots")
        else:
            for label in self.labels:
                content += [_text(label)] * bool(label) + [{"type": self.slot}]
        return [*content, _text(self.asking.replace("{prompt}", prompt))]

    def messages(self, prompt: str, context: Sequence[str] = (), texts: Sequence[str] = ()) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.parts(prompt, context, texts)}]

    def answer_for(self, meaning: str | int) -> str:
        """The answer text that means this; ValueError if no answer does."""
        for text, value in self.answers.items():
            if value == meaning:
                return text
        raise ValueError(f"no answer of this form means {meaning!r}; there are {list(self.answers.values())}")

    def parse(self, text: str) -> str | int | float | None:
        """The meaning of a decoded answer, or None where it is not exactly one of the forms we know.

        A point may be a decimal inside the scale; a word of a scale must stand first, as a reason may follow it. A
        text that holds two different verdicts means nothing.
        """
        clean = " ".join(text.split())
        if self.scale is not None and self.scale.words:
            first = re.match(r"\w+(?=[.,:;!]|$)", clean)
            return {w.lower(): v for w, v in zip(self.scale.words, self.scale.values, strict=True)}.get(
                first[0].lower() if first else ""
            )
        if self.scale is not None:
            scores = _SCORE.findall(clean)
            if len(set(scores)) != 1:
                return None
            value = float(scores[0])
            return value if self.scale.minimum <= value <= self.scale.maximum else None
        found = {meaning for answer, meaning in self.answers.items() if answer.rstrip(".").lower() in clean.lower()}
        return found.pop() if len(found) == 1 else None


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _pair(noun: str, slot: Slot, asking: str, lead: str = "") -> Form:
    answers: dict[str, str | int] = {
        f"{noun} 1 is better than {noun} 2.": "first",
        f"{noun} 2 is better than {noun} 1.": "second",
        f"Both {noun.lower()}s are equally good.": "tie",
    }
    return Form(asking, (f"{noun} 1:", f"{noun} 2:"), answers, None, slot, lead)


@dataclass(frozen=True)
class Points:
    """The point questions of one task: a form for each scale, overall or in one dimension.

    `overall` and `single` have `{scale}`, the latter also `{dimension}`.
    """

    overall: str
    single: str
    scale: Scale
    slot: Slot
    label: str = ""
    lead: str = ""

    def form(self, scale: str | None = None, dimension: str | None = None) -> Form:
        """The form on a scale of SCALES, else on the task's own; ValueError if there is no such scale."""
        if scale is not None and scale not in SCALES:
            raise ValueError(f"no scale {scale!r}; there are {', '.join(SCALES)}")
        used = self.scale if scale is None else SCALES[scale]
        asking = self.overall if dimension in (None, OVERALL) else self.single.replace("{dimension}", str(dimension))
        return Form(asking.replace("{scale}", used.asked), (self.label,), used.answers, used, self.slot, self.lead)


OVERALL = "overall"
"""The dimension of a score that is about everything."""


@dataclass(frozen=True)
class Protocol:
    """The forms of a family of judges: of each task how a pair is asked, and how points are."""

    name: str
    pairs: dict[str, Form]
    points: dict[str, Points]

    @cached_property
    def forms(self) -> dict[tuple[str, str], Form]:
        """By task and kind, points overall on the task's own scale."""
        pairs = {(task, "pair"): form for task, form in self.pairs.items()}
        return pairs | {(task, "point"): points.form() for task, points in self.points.items()}

    def form(self, task: str, kind: Kind, scale: str | None = None, dimension: str | None = None) -> Form:
        """How a task is asked; a point on the named scale and in the named dimension, by default overall on its own."""
        if (task, kind) not in self.forms:
            raise ValueError(f"protocol {self.name} does not ask {kind} questions about {task}")
        if kind == "pair" or (scale is None and dimension in (None, OVERALL)):
            return self.forms[task, kind]
        return self.points[task].form(scale, dimension)

    def on(self, scales: Mapping[str, str]) -> Protocol:
        """The same with other scales of their own for some tasks; ValueError if a scale is not known."""
        if unknown := set(scales.values()) - set(SCALES):
            raise ValueError(f"no scale {', '.join(map(repr, unknown))}; there are {', '.join(SCALES)}")
        points = {t: replace(p, scale=SCALES[scales[t]]) if t in scales else p for t, p in self.points.items()}
        return replace(self, points=points)

    def form_of(self, row: dict[str, Any]) -> Form:
        """The form that a `schema.PREFERENCE` row is an answer to: a point on its own scale where there is a form for
        it, else on the task's, to which its score has to be carried over."""
        name = (row["scale"] or {}).get("name")
        return self.form(row["task"], row["kind"], name if name in SCALES else None, row["dimension"])

    def scale(self, task: str) -> Scale:
        scale = self.form(task, "point").scale
        assert scale is not None
        return scale


_QUESTION = "Question: {prompt}\n"
_WHICH_ANSWER = _pair("Answer", "text", "Which answer is more correct and complete?", _QUESTION)


def _answer_points(scale: str) -> Points:
    return Points(
        "How correct and complete is the answer, {scale}?",
        "How good is the {dimension} of the answer, {scale}?",
        SCALES[scale],
        "text",
        "Answer:",
        _QUESTION,
    )


UNIFIED = Protocol(
    "unified",
    pairs={
        "image_generation": _pair(
            "Image", "image", "Caption: {prompt}\nWhich image follows the caption better and has the better quality?"
        ),
        "image_understanding": _WHICH_ANSWER,
        "video_generation": _pair(
            "Video", "video", "Caption: {prompt}\nWhich video follows the caption better and has the better quality?"
        ),
        "video_understanding": _WHICH_ANSWER,
    },
    points={
        "image_generation": Points(
            "Caption: {prompt}\nHow well does the image follow the caption, and how good is its quality, {scale}?",
            "Caption: {prompt}\nHow good is the {dimension} of the image, {scale}?",
            SCALES["1-5"],
            "image",
        ),
        "image_understanding": _answer_points("0-100"),
        "video_generation": Points(
            "Caption: {prompt}\nHow well does the video follow the caption, and how good is its quality, {scale}?",
            "Caption: {prompt}\nHow good is the {dimension} of the video, {scale}?",
            SCALES["1-10"],
            "video",
        ),
        "video_understanding": _answer_points("1-5"),
    },
)

PROTOCOLS = {protocol.name: protocol for protocol in (UNIFIED,)}


def protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise ValueError(f"no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]

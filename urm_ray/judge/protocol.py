"""How a judge is asked, and what its answers mean.

A protocol knows, for a task and a kind of question, the words around the candidates and the whole set of answers the
judge may give. Reading an answer back is the other half of the same table, so the two can't drift apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["pair", "point"]

# A number that stands alone: no "3,67", "4/10" or "1e1", whose beginning would be taken for the whole.
_SCORE = re.compile(r"Final Score:\s*(-?\d+(?:\.\d+)?)(?=[.,;!)*]*(?:\s|<|$))(?!\s*(?:/|out of\b))")


@dataclass(frozen=True)
class Scale:
    """Whole-number scores from `minimum` to `maximum`, both included."""

    name: str = "1-5"
    minimum: int = 1
    maximum: int = 5

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(range(self.minimum, self.maximum + 1))

    def row(self) -> dict[str, Any]:
        """As a `schema.SCALE` value."""
        return {"name": self.name, "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True)
class Form:
    """One kind of question of one task.

    `asking` has `{prompt}` for the caption or question. `labels` stand before each candidate. `answers` maps each
    answer text to its meaning: first, second or tie for a pair, a value of the scale for a point.
    """

    asking: str
    labels: tuple[str, ...]
    answers: dict[str, str | int]
    scale: Scale | None = None

    def parts(self, prompt: str) -> list[dict[str, str]]:
        """The user's turn as chat content: an image slot for each candidate, in order, then the question."""
        content: list[dict[str, str]] = []
        for label in self.labels:
            content += [{"type": "text", "text": label}] * bool(label) + [{"type": "image"}]
        return [*content, {"type": "text", "text": self.asking.replace("{prompt}", prompt)}]

    def messages(self, prompt: str) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.parts(prompt)}]

    def answer_for(self, meaning: str | int) -> str:
        """The answer text that means this; ValueError if no answer does."""
        for text, value in self.answers.items():
            if value == meaning:
                return text
        raise ValueError(f"no answer of this form means {meaning!r}; there are {list(self.answers.values())}")

    def parse(self, text: str) -> str | int | float | None:
        """The meaning of a decoded answer, or None where it is not exactly one of the forms we know.

        A point may be a decimal inside the scale. A text that holds two different verdicts means nothing.
        """
        clean = " ".join(text.split())
        if self.scale is not None:
            scores = _SCORE.findall(clean)
            if len(set(scores)) != 1:
                return None
            value = float(scores[0])
            return value if self.scale.minimum <= value <= self.scale.maximum else None
        found = {meaning for answer, meaning in self.answers.items() if answer.rstrip(".").lower() in clean.lower()}
        return found.pop() if len(found) == 1 else None


def _pair(noun: str, asking: str) -> Form:
    return Form(
        asking,
        (f"{noun} 1:", f"{noun} 2:"),
        {
            f"{noun} 1 is better than {noun} 2.": "first",
            f"{noun} 2 is better than {noun} 1.": "second",
            f"Both {noun.lower()}s are equally good.": "tie",
        },
    )


def _point(noun: str, asking: str, scale: Scale) -> Form:
    return Form(asking, ("",), {f"Final Score: {value}": value for value in scale.values}, scale)


@dataclass(frozen=True)
class Protocol:
    """The forms of a family of judges, by task and kind."""

    name: str
    forms: dict[tuple[str, str], Form]

    def form(self, task: str, kind: Kind) -> Form:
        if (task, kind) not in self.forms:
            raise ValueError(f"protocol {self.name} does not ask {kind} questions about {task}")
        return self.forms[task, kind]

    def scale(self, task: str) -> Scale:
        scale = self.form(task, "point").scale
        assert scale is not None
        return scale


UNIFIED = Protocol(
    "unified",
    {
        ("image_generation", "pair"): _pair(
            "Image", "Caption: {prompt}\nWhich image follows the caption better and has the better quality?"
        ),
        ("image_generation", "point"): _point(
            "Image",
            "Caption: {prompt}\nHow well does the image follow the caption, and how good is its quality, from 1 to 5?",
            Scale(),
        ),
    },
)

PROTOCOLS = {protocol.name: protocol for protocol in (UNIFIED,)}


def protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise ValueError(f"no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]

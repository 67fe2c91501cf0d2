"""What runs a judge model. An engine turns questions with closed answers into probabilities, and others into texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from urm_ray.chat import Chat


@dataclass(frozen=True)
class Question(Chat):
    """A chat, and the answers that may follow; none where they are no closed set."""

    answers: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """Probability of each answer, given that it is one of them, and how probable that was."""

    probabilities: list[float]
    mass: float


@dataclass(frozen=True)
class Written:
    """A decoded answer. ended: whether it came to its end, or was cut off by the limit."""

    text: str
    ended: bool = True


class Engine(Protocol):
    """One that knows how many tokens it reads and decodes counts them in its `spent` (`Spent`)."""

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        """One reading a question, in order; each has answers."""

    def write(self, questions: Sequence[Question], max_new_tokens: int) -> list[Written]:
        """One answer a question, in order: at each step the likeliest token."""

"""Typed verdicts. A judge that did not answer never becomes a winner, a loser or a zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

PairOutcome = Literal["first", "second", "tie", "unparsed", "refused", "media_error"]
PointOutcome = Literal["score", "unparsed", "refused", "media_error"]


@dataclass(frozen=True)
class PairVerdict:
    """Which of two candidates, in the order shown, is better. Probabilities sum to 1 and are None without an answer."""

    outcome: PairOutcome
    p_first: float | None = None
    p_second: float | None = None
    p_tie: float | None = None
    text: str | None = None
    reason: str | None = None

    def row(self, first: int, second: int) -> dict[str, Any]:
        """As a `schema.PAIR_VERDICT` value, for the candidates with these indices."""
        return {"first": first, "second": second, **self.__dict__}


@dataclass(frozen=True)
class PointVerdict:
    """The expected score on the form's scale, with the probability of each of its values."""

    outcome: PointOutcome
    score: float | None = None
    probabilities: list[float] | None = field(default=None)
    text: str | None = None
    reason: str | None = None

    def row(self, index: int) -> dict[str, Any]:
        """As a `schema.POINT_VERDICT` value, for the candidate with this index."""
        return {"index": index, **self.__dict__}

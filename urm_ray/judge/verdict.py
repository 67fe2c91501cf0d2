"""Typed verdicts. A judge that did not answer never becomes a winner, a loser or a zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

PairOutcome = Literal["first", "second", "tie", "unparsed", "refused", "media_error"]
PointOutcome = Literal["score", "unparsed", "refused", "media_error"]


@dataclass(frozen=True)
class PairVerdict:
    """Which of two candidates, in the order shown, is better.

    Probabilities sum to 1; they are None without an answer, and where it was decoded. dimensions:
    `schema.PAIR_DIMENSION` values, of judges that compare in several.
    """

    outcome: PairOutcome
    p_first: float | None = None
    p_second: float | None = None
    p_tie: float | None = None
    text: str | None = None
    reason: str | None = None
    dimensions: list[dict[str, Any]] | None = None

    def row(self, first: int, second: int) -> dict[str, Any]:
        """As a `schema.PAIR_VERDICT` value, for the candidates with these indices."""
        return {"first": first, "second": second, **self.__dict__}


@dataclass(frozen=True)
class PointVerdict:
    """The score on the form's scale: the expected one, with the probability of each value, or the one that was said.

    dimensions: `schema.POINT_DIMENSION` values, of judges that score in several; one that could not be read is None.
    """

    outcome: PointOutcome
    score: float | None = None
    probabilities: list[float] | None = None
    text: str | None = None
    reason: str | None = None
    dimensions: list[dict[str, Any]] | None = None

    @classmethod
    def mean(cls, verdicts: Sequence[PointVerdict]) -> PointVerdict:
        """The verdict on a candidate that was asked about in several questions: the mean of all their dimensions, or
        no score where one of them has none."""
        dimensions = [one for verdict in verdicts for one in verdict.dimensions or []]
        texts = [verdict.text for verdict in verdicts if verdict.text is not None]
        text = "\n\n".join(texts) if texts else None
        if failed := next((verdict for verdict in verdicts if verdict.outcome != "score"), None):
            number = list(verdicts).index(failed) + 1
            return cls(failed.outcome, text=text, reason=f"question {number}: {failed.reason}", dimensions=dimensions)
        scores = [one["score"] for one in dimensions]
        return cls("score", sum(scores) / len(scores), text=text, dimensions=dimensions)

    def row(self, index: int) -> dict[str, Any]:
        """As a `schema.POINT_VERDICT` value, for the candidate with this index."""
        return {"index": index, **self.__dict__}

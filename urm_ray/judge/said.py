"""What a form expects an answer to say, and what one says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from urm_ray.judge.scale import Scale

Slot = Literal["image", "video", "text"]
Outcome = Literal["first", "second", "tie", "score", "unparsed", "refused"]


@dataclass(frozen=True)
class Expected:
    """The facts that a parser goes by.

    parser: its name. slot: what the candidates are, and so what they are called. scale: of the score of a point.
    final: the label of the overall score; None where it is the unweighted mean of the dimensions. dimensions: their
    names as the answer has them, each on `dimension_scale`, by default the same scale. wanted: the one dimension that
    the verdict is about, in place of the overall score. marks: what else is listed, `elements` of the prompt or its
    `words`.
    """

    parser: str
    slot: Slot
    scale: Scale | None = None
    final: str | None = "Final Score"
    dimensions: tuple[str, ...] = ()
    dimension_scale: Scale | None = None
    wanted: str | None = None
    marks: Literal["elements", "words"] | None = None


@dataclass(frozen=True)
class Said:
    """What an answer says: which of a pair is better, or the score of a point, else why it is not known.

    dimensions: `schema.PAIR_DIMENSION` or `schema.POINT_DIMENSION` values; a number that could not be read is None.
    """

    outcome: Outcome
    score: float | None = None
    dimensions: tuple[dict[str, Any], ...] | None = None
    reason: str | None = None

    @property
    def meaning(self) -> str | float | None:
        """first, second or tie, or the score; None where there is no answer."""
        if self.outcome == "score":
            return self.score
        return self.outcome if self.outcome in ("first", "second", "tie") else None


def unparsed(reason: str, dimensions: tuple[dict[str, Any], ...] | None = None) -> Said:
    """An answer that holds something like a verdict, which is not exactly one."""
    return Said("unparsed", None, dimensions, reason)

"""What a judge is taught: the question that a preference is an answer to, and the answer (paper III-B)."""

from __future__ import annotations

import math
from typing import Any

from urm_ray.judge.protocol import Protocol
from urm_ray.schema import seed_of

SWAPPED = "swapped"
"""The column that says whether a pair is asked with its candidates in the other order."""
_MIRRORED = {"first": "second", "second": "first", "tie": "tie"}


def dithered(score: float, key: str) -> int:
    """A whole number whose mean over many keys is the score: 3.7 becomes 4 for 70% of keys and 3 for the others.

    A judge trained on it has the right expected value, where rounding would lose the fraction.
    """
    below = math.floor(score)
    return below + (seed_of("dither", key) / 2**63 < score - below)


def target(row: dict[str, Any], protocol: Protocol) -> str:
    """What the judge should say to a `schema.PREFERENCE` row with the column `swapped`.

    A score on a scale that the protocol has no form for is carried over to the task's own, ends to ends.
    """
    form = protocol.form_of(row)
    if row["kind"] == "pair":
        return form.answer_for(_MIRRORED[row["label"]] if row[SWAPPED] else row["label"])
    assert form.scale is not None
    own = row["scale"]
    share = (row["score"] - own["minimum"]) / (own["maximum"] - own["minimum"])
    score = form.scale.minimum + share * (form.scale.maximum - form.scale.minimum)
    step = form.scale.step
    return form.answer_for(step * dithered(score / step, row["preference_id"]))


def asked(row: dict[str, Any], protocol: Protocol) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The chat that asks about the same row, and the `schema.MEDIA` values that fill its slots in order."""
    form, candidates = protocol.form_of(row), row["candidates"][::-1] if row[SWAPPED] else row["candidates"]
    context = row["context"] or []
    texts = [candidate["text"] for candidate in candidates] if form.slot == "text" else []
    shown = [] if form.slot == "text" else [candidate["media"] for candidate in candidates]
    return form.messages(row["prompt"], [media["kind"] for media in context], texts), [*context, *shown]

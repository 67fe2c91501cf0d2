"""`schema.PREDICTION` rows, as a judge's answers leave them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

OUTCOMES = ("first", "second", "tie", "unparsed", "refused", "media_error")
SHOWN = {"first": "second", "second": "first", "tie": "tie"}


def verdict(shown_first: int, outcome: str, text: str | None = None) -> dict[str, Any]:
    """A `schema.PAIR_VERDICT` value as the judge gave it, by the order shown."""
    nothing = dict.fromkeys(("p_first", "p_second", "p_tie", "reason", "dimensions"))
    return {"first": shown_first, "second": 1 - shown_first, "outcome": outcome, "text": text, **nothing}


def row(label: str, forward: str, reverse: str, number: int = 0, **changes: Any) -> dict[str, Any]:
    """forward, reverse: what the judge means, by the benchmark's own order, when its first or its second candidate is
    shown first; or why it gave no answer."""
    return {
        "item_id": f"item {number}",
        "task": "image_generation",
        "group": "",
        "cluster": f"cluster {number}",
        "labels": [{"dimension": "overall", "label": label}],
        "pair_verdicts": [verdict(0, forward), verdict(1, SHOWN.get(reverse, reverse))],
        "point_verdicts": [],
        "skipped": None,
    } | changes


def point(index: int, score: float | None, dimension: str = "overall") -> dict[str, Any]:
    """A point verdict of a prediction."""
    nothing = dict.fromkeys(("probabilities", "text", "reason", "dimensions"))
    outcome = "unparsed" if score is None else "score"
    return {"index": index, "outcome": outcome, "score": score, "dimension": dimension, **nothing}


def scored(label: str, first: float | None, second: float | None, number: int = 0, **changes: Any) -> dict[str, Any]:
    """A row whose candidates were scored alone."""
    return row(label, "tie", "tie", number, point_verdicts=[point(0, first), point(1, second)], **changes)


def swapped(one: dict[str, Any]) -> dict[str, Any]:
    """The same item with its candidates, and with them its label and all that was said, in the other order."""
    turned = [v | {"first": v["second"], "second": v["first"]} for v in one["pair_verdicts"]]
    points = [v | {"index": 1 - v["index"]} for v in one["point_verdicts"]]
    labels = [found | {"label": SHOWN.get(found["label"], found["label"])} for found in one["labels"]]
    return one | {"pair_verdicts": turned[::-1], "point_verdicts": points, "labels": labels}


@st.composite
def rows(draw: Any, labels: tuple[str, ...] = ("first", "second", "tie_good", "tie_bad"), size: int = 25) -> Any:
    """Rows of any labels and answers, in some clusters."""
    count = draw(st.integers(1, size))
    found = []
    for number in range(count):
        label, forward, reverse = (draw(st.sampled_from(names)) for names in (labels, OUTCOMES, OUTCOMES))
        found.append(row(label, forward, reverse, number, cluster=f"c{draw(st.integers(0, 8))}"))
    return found

"""What a judge said about two candidates, turned to the order in which a benchmark names them.

A row is a `schema.PREDICTION` value: of its `pair_verdicts` the one with `first` 0 was given with the benchmark's first
candidate shown first, the one with `first` 1 with its second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from urm_ray.schema import seed_of

Row = Mapping[str, Any]

Call = Literal["first", "second", "tie"]
"""Which candidate is better, by the benchmark's own order; None in its place where there is no answer."""

OVERALL = "overall"
"""The dimension of a label that is about everything."""

_SWAPPED: dict[str, Call] = {"first": "second", "second": "first", "tie": "tie"}
_MARKS = {"[[A=B=Good]]": "tie_good", "[[A=B=Bad]]": "tie_bad"}


def call(verdict: Mapping[str, Any]) -> Call | None:
    """The call of a `schema.PAIR_VERDICT` value."""
    said = _SWAPPED.get(verdict["outcome"])
    return said if verdict["first"] or said is None else _SWAPPED[said]


def both_orders(row: Row) -> tuple[Call | None, Call | None]:
    """The calls with the first and with the second candidate shown first; KeyError if an order was not asked."""
    found = {verdict["first"]: call(verdict) for verdict in reversed(row["pair_verdicts"])}
    return found[0], found[1]


def merged(row: Row) -> Call | None:
    """One call of both orders: theirs where they agree, a tie where they do not, none where one has no answer."""
    forward, reverse = both_orders(row)
    if forward is None or reverse is None:
        return None
    return forward if forward == reverse else "tie"


def compared(rows: Sequence[Row], names: Sequence[str]) -> str | None:
    """The first of these names under which the judge compares candidates beside its verdict."""
    verdicts = [verdict for row in rows for verdict in row["pair_verdicts"]]
    known = {one["name"].lower() for verdict in verdicts for one in verdict["dimensions"] or ()}
    return next((name for name in names if name in known), None)


def about(row: Row, dimension: str, name: str) -> Row:
    """A row with a label in a dimension as if it were about that alone: each verdict is for the candidate with the
    higher share under the name, and unparsed where there are no two shares."""
    verdicts = [verdict | {"outcome": _outcome_in(verdict, name)} for verdict in row["pair_verdicts"]]
    return {**row, "labels": [{"dimension": OVERALL, "label": label_of(row, dimension)}], "pair_verdicts": verdicts}


def _outcome_in(verdict: Mapping[str, Any], name: str) -> str:
    shares = next((one for one in verdict["dimensions"] or () if one["name"].lower() == name), None)
    if shares is None or shares["first"] is None or shares["second"] is None:
        return verdict["outcome"] if verdict["outcome"] in ("refused", "media_error") else "unparsed"
    if shares["first"] == shares["second"]:
        return "tie"
    return "first" if shares["first"] > shares["second"] else "second"


def label_of(row: Row, dimension: str = OVERALL) -> str | None:
    """The human label in a dimension: first, second, tie, tie_good or tie_bad; None where there is none."""
    return next((one["label"] for one in row["labels"] if one["dimension"] == dimension), None)


def three_way(label: str) -> Call:
    """A label with the kinds of ties, both good and both bad, taken together."""
    return label if label in ("first", "second") else "tie"  # type: ignore[return-value]


def four_way_right(row: Row) -> bool:
    """Whether the verdict with the first candidate shown first matches the label by GenAI-Bench's official rule.

    Its four answers are A>B, B>A, A=B=Good and A=B=Bad, and a plain A=B matches both kinds of ties (GenAI-Bench,
    inference.py). A tie is of one kind where the judge's text has the mark of that kind and not the other's.
    """
    verdict = next(v for v in row["pair_verdicts"] if v["first"] == 0)
    said, label = call(verdict), str(label_of(row))
    kinds = {kind for mark, kind in _MARKS.items() if mark in (verdict["text"] or "")}
    if said == "tie" and len(kinds) == 1:
        return label in kinds
    return said is not None and said == three_way(label)


def judgements(row: Row, count: int, seed: int) -> list[Call | None]:
    """`count` judgements of the row, each in an order that its id draws.

    As many as were given in an order are taken in turn: a judge that decodes greedily gives one, and says the same
    however often it is asked.
    """
    given: dict[int, list[Call | None]] = {0: [], 1: []}
    for verdict in row["pair_verdicts"]:
        given[verdict["first"]].append(call(verdict))
    found, taken = [], [0, 0]
    for number in range(count):
        order = seed_of(seed, "judgement", row["item_id"], number) % 2
        found.append(given[order][taken[order] % len(given[order])])
        taken[order] += 1
    return found


def outcomes(rows: Sequence[Row]) -> dict[str, int]:
    """How many verdicts there are of each outcome."""
    names = ("first", "second", "tie", "unparsed", "refused", "media_error")
    given = [verdict["outcome"] for row in rows for verdict in row["pair_verdicts"]]
    return {name: given.count(name) for name in names}

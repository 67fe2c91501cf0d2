"""The published pairing, the orders in which pairs are shown, and who wins when both have been asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Result = Literal["win", "tie", "order_disagreement", "unparsed", "media_error"]


def adjacent(count: int) -> list[tuple[int, int]]:
    """(0, 1), (2, 3), ...: the published pairing (paper III-C), count / 2 pairs."""
    return [(i, i + 1) for i in range(0, count - 1, 2)]


def asked_orders(pairs: Sequence[tuple[int, int]], both: bool) -> list[tuple[int, int]]:
    """Pairs in the orders to be shown: each as it is and, if `both`, swapped right behind."""
    return [order for a, b in pairs for order in ([(a, b), (b, a)] if both else [(a, b)])]


@dataclass(frozen=True)
class Comparison:
    """The outcome of one pair over the orders asked."""

    result: Result
    winner: int | None = None
    loser: int | None = None


def compare(verdicts: Sequence[dict[str, Any]]) -> Comparison:
    """Joins the verdicts on one pair of candidates (`schema.PAIR_VERDICT` values, one an order).

    A win takes the same winner in every order. Verdicts without an answer are never read as a win or a tie.
    """
    outcomes = [v["outcome"] for v in verdicts]
    if "media_error" in outcomes:
        return Comparison("media_error")
    if any(o not in ("first", "second", "tie") for o in outcomes):
        return Comparison("unparsed")
    winners = {None if v["outcome"] == "tie" else v[v["outcome"]] for v in verdicts}
    if len(winners) > 1:
        return Comparison("order_disagreement")
    winner = winners.pop()
    if winner is None:
        return Comparison("tie")
    loser = next(i for i in (verdicts[0]["first"], verdicts[0]["second"]) if i != winner)
    return Comparison("win", winner, loser)


def by_pair(verdicts: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """`schema.PAIR_VERDICT` values of a prompt, those on the same two candidates together."""
    groups: dict[frozenset[int], list[dict[str, Any]]] = {}
    for verdict in verdicts:
        groups.setdefault(frozenset((verdict["first"], verdict["second"])), []).append(verdict)
    return list(groups.values())

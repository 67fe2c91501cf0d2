"""Which candidates are compared: policies that say what is asked next, given the verdicts so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from urm_ray.pairs.ranking import adjacent, by_pair, compare

Pair = tuple[int, int]
"""Indices of two candidates, the lower one first."""
Round = Sequence[dict[str, Any]]
"""The `schema.PAIR_VERDICT` values of pairs that were asked together."""


@dataclass(frozen=True)
class Field:
    """The candidates of a prompt. able: indices of those that can be shown and equal no earlier one, ascending."""

    count: int
    able: tuple[int, ...]

    @classmethod
    def of(cls, count: int) -> Field:
        """Of so many candidates that can all be shown and differ."""
        return cls(count, tuple(range(count)))


Pairing = Callable[[Field, Sequence[Round]], list[Pair]]
"""A policy: the pairs to be asked next, those that matter most first, given the rounds so far; none at the end. It has
no memory and no chance: the same verdicts are followed by the same pairs."""


def nothing(field: Field, rounds: Sequence[Round]) -> list[Pair]:
    """No pair is asked."""
    return []


def neighbours(field: Field, rounds: Sequence[Round]) -> list[Pair]:
    """The published pairing (`ranking.adjacent`), count / 2 pairs at once."""
    return [] if rounds else adjacent(field.count)


def each_with_each(field: Field, rounds: Sequence[Round]) -> list[Pair]:
    """count * (count - 1) / 2 pairs at once, in the order of a round-robin tournament: each candidate is in one of the
    first count / 2 pairs, which are the adjacent ones, and in one of each count / 2 that follow."""
    if rounds or field.count < 2:
        return []
    seats = [*range(0, field.count, 2), *range(field.count - 1 + field.count % 2, 0, -2)]
    found = []
    for _ in range(len(seats) - 1):
        facing = zip(seats[: len(seats) // 2], reversed(seats), strict=False)
        found += [(min(two), max(two)) for two in facing if max(two) < field.count]
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return found


def swiss(field: Field, rounds: Sequence[Round]) -> list[Pair]:
    """A Swiss tournament of the able candidates: `swiss_rounds` rounds, the first of neighbours. Then those of like
    standing meet, the leaders first, but nobody meets another twice.

    Standing is wins less losses (a tie, two orders that disagree and a pair without an answer change nothing), then the
    lower index. Of an odd number the last in standing sits out, of those that have done so least often.
    """
    if len(rounds) >= swiss_rounds(len(field.able)):
        return []
    standing, games, met = dict.fromkeys(field.able, 0), dict.fromkeys(field.able, 0), set[Pair]()
    for group in (group for played in rounds for group in by_pair(played)):
        pair = min(group[0]["first"], group[0]["second"]), max(group[0]["first"], group[0]["second"])
        met.add(pair)
        for i in pair:
            games[i] += 1
        comparison = compare(group)
        if comparison.winner is not None and comparison.loser is not None:
            standing[comparison.winner] += 1
            standing[comparison.loser] -= 1
    order = sorted(field.able, key=lambda i: (-standing[i], i))
    if len(order) % 2:
        order.remove(max(order, key=lambda i: (games[i], -standing[i], i)))
    return _meetings(order, met) or []


def swiss_rounds(count: int) -> int:
    """log2 of the number of candidates, rounded up: as many as single out one that wins all of its pairs."""
    return math.ceil(math.log2(count)) if count > 1 else 0


def _meetings(order: Sequence[int], met: set[Pair]) -> list[Pair] | None:
    """Pairs of all of an even number, each with the nearest in the order that it can have; None if there are none."""
    if not order:
        return []
    for other in order[1:]:
        pair = min(order[0], other), max(order[0], other)
        if pair in met:
            continue
        rest = _meetings([i for i in order[1:] if i != other], met)
        if rest is not None:
            return [pair, *rest]
    return None


PAIRINGS: dict[str, Pairing] = {"adjacent": neighbours, "all": each_with_each, "swiss": swiss, "none": nothing}
"""By `PairsConfig.ranking`."""

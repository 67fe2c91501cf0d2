"""Puts a prompt's questions to a judge: pairs in rounds, points beside them, and no more of both than may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from urm_ray.config_pairs import PairsConfig
from urm_ray.judge.protocol import Kind
from urm_ray.pairs.pairing import PAIRINGS, Field, Pair, Round
from urm_ray.pairs.ranking import asked_orders

Step = tuple[list[Pair], list[int]]
"""Pairs as they are to be shown, and candidates to be scored, that are asked together or not at all."""


class Sitting(Protocol):
    """One prompt's candidates before a judge (`urm_ray.judge.sitting`), or whatever stands in for it."""

    @property
    def count(self) -> int:
        """Of candidates."""

    @property
    def able(self) -> tuple[int, ...]:
        """Indices of those that can be shown and equal no earlier one, ascending."""

    @property
    def spent(self) -> int:
        """Questions that the judge was asked so far."""

    def cost(self, orders: Iterable[Pair], points: Iterable[int]) -> int:
        """Questions that these would take; none is asked twice."""

    def ask(self, orders: Sequence[Pair], points: Sequence[int]) -> list[dict[str, Any]]:
        """Asks about pairs as they are to be shown and about candidates by themselves, in one go; the
        `schema.PAIR_VERDICT` values of the pairs, in order."""


def interview(sitting: Sitting, config: PairsConfig) -> None:
    """Asks all that the settings want asked about a prompt, within `PairsConfig.calls`.

    Without a limit the points of all candidates go with the first round. With one, a pair is asked in all its orders
    and with the points of its two that are not known yet, or not at all; the first pair that does not fit ends the
    comparisons, and points of the other candidates, by index, take what is left.
    """
    pairing, field = PAIRINGS[config.ranking], Field(sitting.count, sitting.able)
    everyone = list(range(sitting.count)) if config.points else []
    rounds: list[Round] = []
    fits = True
    while fits and (wanted := pairing(field, rounds)):
        taken = _that_fit(sitting, wanted, config)
        fits = len(taken) == len(wanted)
        points = everyone if config.calls is None else _step(taken, config)[1]
        rounds.append(sitting.ask(asked_orders(sorted(taken), config.both_orders), points))
    rest: list[int] = []
    for index in everyone:
        if config.calls is None or sitting.spent + sitting.cost([], [*rest, index]) <= config.calls:
            rest.append(index)
    sitting.ask([], rest)


def _that_fit(sitting: Sitting, wanted: Sequence[Pair], config: PairsConfig) -> list[Pair]:
    """The first of the pairs, as many as can be asked whole."""
    if config.calls is None:
        return list(wanted)
    taken: list[Pair] = []
    for pair in wanted:
        if sitting.spent + sitting.cost(*_step([*taken, pair], config)) > config.calls:
            break
        taken.append(pair)
    return taken


def _step(pairs: Sequence[Pair], config: PairsConfig) -> Step:
    return asked_orders(pairs, config.both_orders), [i for pair in pairs for i in pair] if config.points else []


class Counting:
    """Counts what would be asked about candidates that can all be shown and differ. pair, point: questions that one
    verdict takes; 0 where the judge gives none."""

    def __init__(self, count: int, pair: int = 1, point: int = 1) -> None:
        self.count, self.able = count, tuple(range(count))
        self._each: dict[Kind, int] = {"pair": pair, "point": point}
        self.verdicts: dict[Kind, int] = {"pair": 0, "point": 0}
        self._asked: set[Pair | int] = set()

    @property
    def spent(self) -> int:
        return sum(self._each[kind] * count for kind, count in self.verdicts.items())

    def _new(self, orders: Iterable[Pair], points: Iterable[int]) -> dict[Kind, set[Any]]:
        return {"pair": set(orders) - self._asked, "point": set(points) - self._asked}

    def cost(self, orders: Iterable[Pair], points: Iterable[int]) -> int:
        return sum(self._each[kind] * len(new) for kind, new in self._new(orders, points).items())

    def ask(self, orders: Sequence[Pair], points: Sequence[int]) -> list[dict[str, Any]]:
        for kind, new in self._new(orders, points).items():
            self.verdicts[kind] += len(new)
            self._asked |= new
        return [{"first": a, "second": b, "outcome": "tie"} for a, b in orders]

"""A prompt's candidates before a judge, who is asked about them in as many rounds as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from urm_ray.clips import Sampling
from urm_ray.judge.equal import EQUAL, first_equals
from urm_ray.judge.item import Item, media_of, shown_of
from urm_ray.judge.protocol import Kind, Protocol
from urm_ray.judge.verdict import PairVerdict, PointVerdict
from urm_ray.media import MediaError

Verdict = PairVerdict | PointVerdict
_Key = tuple[int, int] | int
"""A pair as it is shown, or a candidate by itself."""


class Sitting:
    """One prompt's candidates: decoded once, asked about in any number of rounds, and about nothing twice.

    Of candidates that are equal the judge sees the first alone, and a pair of them is a tie that is not asked. A judge
    that compares alone gives no point verdicts and no scale.
    indices: of all candidates. able: of those that can be shown and equal no earlier one, ascending. spent: questions
    so far.
    """

    def __init__(
        self,
        row: dict[str, Any],
        protocol: Protocol,
        ask: Callable[[Sequence[Item]], list[Verdict]],
        sampling: Sampling,
    ) -> None:
        """row: of `schema.CANDIDATE_SET`. ask: of a `JudgeScorer` with this protocol."""
        self.task, self.prompt, self._ask = row["task"], row["prompt"], ask
        self._context = tuple(media_of(media, sampling) for media in row["context"] or ())
        self._shown = {c["index"]: shown_of(c, sampling) for c in row["candidates"]}
        self._first = first_equals(row["candidates"])
        self._protocol, self._scored = protocol, (self.task, "point") in protocol.forms
        self._found: dict[_Key, Verdict] = {}
        self._pairs: list[dict[str, Any]] = []
        self._points: set[int] = set()
        self.indices = tuple(self._shown)
        self.count, self.spent = len(self._shown), 0
        self.able = tuple(sorted(i for i, first in self._first.items() if i == first and self._can_show([i])))

    def _can_show(self, indices: Iterable[int]) -> bool:
        shown = (*self._context, *(self._shown[i] for i in indices))
        return not any(isinstance(one, MediaError) for one in shown)

    def _new(self, orders: Iterable[tuple[int, int]], points: Iterable[int]) -> dict[_Key, Item]:
        """What was not asked before, pairs first."""
        pairs = [(self._first[a], self._first[b]) for a, b in orders if self._first[a] != self._first[b]]
        scored = [self._first[i] for i in points if self._scored]
        keys: dict[_Key, None] = dict.fromkeys([*pairs, *scored])
        return {key: self._item(key) for key in keys if key not in self._found}

    def _item(self, key: _Key) -> Item:
        kind: Kind = "pair" if isinstance(key, tuple) else "point"
        shown = tuple(self._shown[i] for i in _indices(key))
        return Item(self.task, kind, self.prompt, shown, self._context)

    def _cost(self, new: dict[_Key, Item]) -> int:
        able = [item.kind for key, item in new.items() if self._can_show(_indices(key))]
        return sum(self._protocol.questions(self.task, kind) for kind in able)

    def cost(self, orders: Iterable[tuple[int, int]], points: Iterable[int]) -> int:
        """Questions that these would take: none for what was asked before, is equal, or cannot be shown."""
        return self._cost(self._new(orders, points))

    def ask(self, orders: Sequence[tuple[int, int]], points: Iterable[int]) -> list[dict[str, Any]]:
        """Asks about pairs of candidates, in the order to be shown, and about candidates by themselves, all at once.

        Returns the `schema.PAIR_VERDICT` values of the pairs, in order.
        """
        points = list(points)
        new = self._new(orders, points)
        self.spent += self._cost(new)
        if new:
            self._found |= zip(new, self._ask(list(new.values())), strict=True)
        rows = [self._pair(a, b).row(a, b) for a, b in orders]
        self._pairs += rows
        self._points |= set(points)
        return rows

    def _pair(self, a: int, b: int) -> PairVerdict:
        first, second = self._first[a], self._first[b]
        found = PairVerdict("tie", 0.0, 0.0, 1.0, reason=EQUAL) if first == second else self._found[first, second]
        assert isinstance(found, PairVerdict)
        return found

    def columns(self) -> dict[str, Any]:
        """The verdict columns of a `schema.JUDGED_SET` row: pairs as they were asked, points by candidate."""
        points = [(i, self._found[self._first[i]]) for i in self._shown if self._scored and i in self._points]
        return {
            "pair_verdicts": self._pairs,
            "point_verdicts": [verdict.row(i) for i, verdict in points if isinstance(verdict, PointVerdict)],
            "scale": self._protocol.scale(self.task).row() if self._scored else None,
        }


def _indices(key: _Key) -> tuple[int, ...]:
    return key if isinstance(key, tuple) else (key,)

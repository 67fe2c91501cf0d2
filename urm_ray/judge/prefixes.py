"""Which tokens several sequences begin with, and in how many passes a model reads each of these once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 16
"""Tokens that a beginning must have to be read apart: a pass more has its price, too."""


@dataclass(frozen=True)
class Piece:
    """Tokens `start` to `end` of a sequence, and of all others that are equal so far."""

    row: int
    start: int
    end: int
    before: int | None
    """The piece that its tokens follow on; None at the beginning."""
    level: int
    """How many pieces come before it."""

    @property
    def length(self) -> int:
        return self.end - self.start


class Prefixes:
    """Sequences cut into pieces such that no beginning that is shared by several is in two pieces.

    keys: for each sequence its tokens, as whole numbers that are equal where tokens are. least: beginnings that are
    shared and shorter than this are not read apart.
    """

    def __init__(self, keys: Sequence[np.ndarray], least: int = LEAST) -> None:
        self.keys, self.least = keys, least
        self.pieces: list[Piece] = []
        self.last: list[int] = [-1] * len(keys)
        """For each sequence, the number of the piece that it ends with."""
        waiting: list[tuple[list[int], int, int | None]] = [(list(range(len(keys))), 0, None)] if len(keys) else []
        while waiting:
            waiting += self._cut(*waiting.pop())

    def _cut(self, rows: list[int], start: int, before: int | None) -> list[tuple[list[int], int, int | None]]:
        """Puts down the piece that these sequences share from `start` on, and returns what is left to be cut."""
        end = self._common(rows, start)
        ended = [row for row in rows if len(self.keys[row]) == end]
        rest: dict[int, list[int]] = {}
        for row in rows:
            if len(self.keys[row]) > end:
                rest.setdefault(int(self.keys[row][end]), []).append(row)
        if rest and end - start < self.least:  # too short to be apart: each branch reads it on its own
            apart = [(branch, start, before) for branch in rest.values()]
            if ended:
                self._put(ended, start, end, before)
            return apart
        number = self._put(ended, start, end, before, rows[0])
        return [(branch, end, number) for branch in rest.values()]

    def _put(self, ended: list[int], start: int, end: int, before: int | None, row: int | None = None) -> int:
        level = 0 if before is None else self.pieces[before].level + 1
        self.pieces.append(Piece(ended[0] if row is None else row, start, end, before, level))
        for one in ended:
            self.last[one] = len(self.pieces) - 1
        return len(self.pieces) - 1

    def _common(self, rows: list[int], start: int) -> int:
        """How far sequences that are equal up to `start` are equal."""
        first = self.keys[rows[0]]
        end = min(len(self.keys[row]) for row in rows)
        for row in rows[1:]:
            differs = np.flatnonzero(first[start:end] != self.keys[row][start:end])
            if len(differs):
                end = start + int(differs[0])
        return end

    def piece_of(self, row: int, place: int) -> int:
        """The number of the piece that holds a token of a sequence."""
        number: int | None = self.last[row]
        while number is not None and place < self.pieces[number].start:
            number = self.pieces[number].before
        if number is None or place >= self.pieces[number].end:
            raise IndexError(f"sequence {row} has no token {place}")
        return number

    def levels(self) -> list[list[int]]:
        """The numbers of the pieces, those first that nothing comes before."""
        found: list[list[int]] = [[] for _ in range(1 + max((piece.level for piece in self.pieces), default=-1))]
        for number, piece in enumerate(self.pieces):
            found[piece.level].append(number)
        return found


def batches(lengths: Sequence[int], pass_tokens: float, most_tokens: int) -> list[list[int]]:
    """Rows of these lengths in groups of like length, so that padding and passes together cost least.

    pass_tokens: how many tokens are read in the time that a pass takes by itself. most_tokens: of a group, padding
    included; a longer row is alone. Returns the numbers of the rows in each group.
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    ends = [n for n in range(1, len(order) + 1) if n == len(order) or lengths[order[n]] != lengths[order[n - 1]]]
    best: list[tuple[float, int]] = [(0.0, 0)]
    for place, end in enumerate(ends):
        longest = lengths[order[end - 1]]
        costs = []
        for begin in range(place + 1):
            first = ends[begin - 1] if begin else 0
            costs.append((best[begin][0] + (end - first) * longest + pass_tokens, begin))
        best.append(min(costs))
    groups, place = [], len(ends)
    while place:
        begin = best[place][1]
        rows = order[ends[begin - 1] if begin else 0 : ends[place - 1]]
        size = max(1, most_tokens // max(1, lengths[rows[-1]]))
        groups += [rows[n : n + size] for n in range(0, len(rows), size)]
        place = begin
    return groups[::-1]

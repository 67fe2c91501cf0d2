"""Which rows of a source a mix takes: drawn by ids and a seed, as many as asked, whoever reads them in what order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from urm_ray.schema import digest
from urm_ray.sources.split import held_out_prompts


def lot(seed: int, preference_id: str) -> str:
    """What a row draws: rows with the lowest lots are taken."""
    return digest(seed, "take", preference_id)


def prompt_key(prompt: str) -> str:
    """What stands for a prompt where prompts are compared and not read."""
    return digest("prompt", prompt)


@dataclass(frozen=True)
class Listed:
    """A row that could be taken: its lot, its prompt's key, and the number of the unit that it is in."""

    lot: str
    prompt: str
    unit: int


def held_out(rows: Sequence[Listed], seed: int, wanted: int) -> set[str]:
    """Keys of the prompts that are kept from training: as many as have `wanted` of the rows, or all."""
    return held_out_prompts([row.prompt for row in rows], seed, wanted)


def in_order(rows: Sequence[Listed], without: Collection[str]) -> list[Listed]:
    """The rows in the order in which they are taken, but those of some prompts."""
    return sorted((row for row in rows if row.prompt not in without), key=lambda row: (row.lot, row.unit))


@dataclass(frozen=True)
class Draw:
    """Rows with lots after `after` up to `upto`, the units that they are in, and the number of the row after them."""

    after: str
    upto: str
    units: tuple[int, ...]
    stop: int


def draw(rows: Sequence[Listed], start: int, count: int) -> Draw:
    """The next `count` of rows that are `in_order`, from number `start` on, and all that have the id of the last."""
    stop = min(len(rows), start + count)
    while stop < len(rows) and rows[stop].lot == rows[stop - 1].lot:
        stop += 1
    units = sorted({row.unit for row in rows[start:stop]})
    return Draw(rows[start - 1].lot if start else "", rows[stop - 1].lot, tuple(units), stop)

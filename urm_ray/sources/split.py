"""Divides the rows of a file source into held-out and training parts."""

from __future__ import annotations

from collections.abc import Sequence

from urm_ray.schema import digest


def split(ids: Sequence[str], seed: int, heldout: int, train: int) -> tuple[list[int], list[int]]:
    """(held-out, training) row numbers, shuffled by id and seed; the held-out part comes first and is never shortened
    by a larger training part. No row is in both."""
    order = sorted(range(len(ids)), key=lambda i: digest(seed, ids[i]))
    return order[:heldout], order[heldout : heldout + train]

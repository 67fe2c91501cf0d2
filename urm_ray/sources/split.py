"""Divides the rows of a file source into held-out and training parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from urm_ray.schema import digest


def split(ids: Sequence[str], seed: int, heldout: int, train: int) -> tuple[list[int], list[int]]:
    """(held-out, training) row numbers, shuffled by id and seed; the held-out part comes first and is never shortened
    by a larger training part. No row is in both."""
    order = sorted(range(len(ids)), key=lambda i: digest(seed, ids[i]))
    return order[:heldout], order[heldout : heldout + train]


def held_out_prompts(prompts: Sequence[str], seed: int, rows: int) -> set[str]:
    """The prompts that are kept for evaluation: the first, shuffled by text and seed, that have so many rows."""
    counts, kept, found = Counter(prompts), set(), 0
    for prompt in sorted(counts, key=lambda prompt: digest(seed, "held out", prompt)):
        if found >= rows:
            break
        kept.add(prompt)
        found += counts[prompt]
    return kept

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
    keys = [held_out_key(prompt, seed) for prompt in prompts]
    kept = first_keys(keys, rows)
    return {prompt for prompt, key in zip(prompts, keys, strict=True) if key in kept}


def held_out_key(prompt: str, seed: int) -> str:
    """What orders prompts, and stands for one where its text is not held."""
    return digest(seed, "held out", prompt)


def first_keys(keys: Sequence[str], rows: int) -> set[str]:
    """Of the `held_out_key` of each row the lowest that have so many rows."""
    counts, kept, found = Counter(keys), set(), 0
    for key in sorted(counts):
        if found >= rows:
            break
        kept.add(key)
        found += counts[key]
    return kept

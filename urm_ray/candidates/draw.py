"""Draws tokens from logits, each row with its own randomness.

A row's noise is a function of (seed, step, token) and nothing else, computed in whole numbers, so it is the same on
every device, in every batch and for every token that a filter leaves. The draw is the largest of logit + Gumbel noise,
which is a sample of the softmax. Of all ways to sample it moves least when logits are rounded differently: only if the
two largest sums are closer than the rounding.
"""

from __future__ import annotations

import torch

_GOLDEN, _FIRST, _SECOND = (n - 2**64 for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_STEP = 0xD1B54A32D192ED03 - 2**64


def _shifted(bits: torch.Tensor, by: int) -> torch.Tensor:
    """Logical shift to the right of int64, which torch shifts arithmetically."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _mixed(bits: torch.Tensor) -> torch.Tensor:
    """The finaliser of splitmix64 on int64, whose products wrap around."""
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def uniform(seeds: torch.Tensor, step: int, count: int) -> torch.Tensor:
    """(rows, count) float64 in (0, 1), a function of each row's seed (rows,), the step and the column alone."""
    columns = torch.arange(1, count + 1, device=seeds.device, dtype=torch.int64)
    start = _mixed(seeds[:, None] + torch.tensor(step + 1, device=seeds.device) * _STEP)
    return (_shifted(_mixed(start + columns * _GOLDEN), 11).double() + 0.5) * 2.0**-53


def filtered(logits: torch.Tensor, temperature: float, top_k: int, top_p: float) -> torch.Tensor:
    """Logits (rows, V) over the temperature in float32, -inf for what may not be drawn.

    top_k keeps the largest k, and what equals the k-th; 0 keeps all. top_p then keeps the smallest set of the likeliest
    tokens that together have at least this probability; 1 keeps all. As in transformers' `generate`, in its order.
    """
    scores = logits.float() / temperature
    if 0 < top_k < scores.shape[-1]:
        scores = scores.masked_fill(scores < scores.topk(top_k).values[:, -1:], -torch.inf)
    if top_p < 1:
        ordered, places = scores.sort(descending=False)
        unlikely = ordered.softmax(-1).cumsum(-1) <= 1 - top_p
        unlikely[:, -1] = False
        scores = scores.masked_fill(unlikely.scatter(1, places, unlikely), -torch.inf)
    return scores


def draw(scores: torch.Tensor, seeds: torch.Tensor, step: int) -> torch.Tensor:
    """One token (rows,) for each row of filtered scores (rows, V); `step` counts the tokens drawn before."""
    noise = -uniform(seeds, step, scores.shape[-1]).log().neg().log()
    return (scores.double() + noise).argmax(-1)

"""Where the tokens of a padded batch stand, so that each is worked on once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Layout:
    """The N tokens of a batch of R rows and L places that a language model has to read, in the order of the rows."""

    first: torch.Tensor
    """(N,): the place of each token among all R * L."""
    again: torch.Tensor
    """(M,): the numbers of the tokens that stand in a second row, too."""
    second: torch.Tensor
    """(M,): their places there."""
    numbers: torch.Tensor
    """(R, L): the number of the token at each place; 0 where there is padding."""
    right: bool
    """Whether padding is behind all tokens of its row: what reads from left to right then never meets it."""

    @property
    def is_full(self) -> bool:
        """Whether there is nothing to save."""
        return self.first.numel() == self.numbers.numel()

    def pick(self, values: torch.Tensor) -> torch.Tensor:
        """Of values (R, L, ...), those of the tokens (N, ...)."""
        return values.flatten(0, 1)[self.first]


def layout_of(input_ids: torch.Tensor, attention_mask: torch.Tensor, pairs: bool) -> Layout:
    """The layout of token ids (R, L) with a mask (R, L) of what is no padding.

    pairs: row n and row n + R / 2 are about the same, as in a batch of `AnswerPairs`; what they begin with in common
    is read once.
    """
    real = attention_mask.bool()
    rows, length = real.shape
    shared = torch.zeros_like(real)
    if pairs:
        half = rows // 2
        same = (input_ids[:half] == input_ids[half:]) & real[:half] & real[half:]
        shared[half:] = same.cumprod(1).bool()
    own = real & ~shared
    numbers = (own.flatten().cumsum(0) - 1).view(rows, length) * own
    if pairs:
        numbers[half:] += numbers[:half] * shared[half:]
    first, second = own.flatten().nonzero()[:, 0], shared.flatten().nonzero()[:, 0]
    right = bool((real[:, 1:] <= real[:, :-1]).all())
    return Layout(first, numbers.flatten()[second], second, numbers, right)


def spread(tokens: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Values of the tokens (N, ...) at all their places (R, L, ...); what stands at padding means nothing."""
    return _Spread.apply(tokens, layout)


def collect(places: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Of values at all places (R, L, ...), those of the tokens (N, ...), each from the first row that it stands in."""
    return _Collect.apply(places, layout)


class _Spread(torch.autograd.Function):
    """The gradient of a token is the sum of those at its places, added in one order on every device."""

    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout = layout
        return tokens[layout.numbers.flatten()].unflatten(0, layout.numbers.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        layout, flat = ctx.layout, gradients[0].flatten(0, 1)
        sums = flat[layout.first]
        if layout.again.numel():
            sums[layout.again] += flat[layout.second]
        return sums, None


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, places: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout = layout
        return layout.pick(places)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        layout, own = ctx.layout, gradients[0]
        filled = own.new_zeros(layout.numbers.numel(), *own.shape[1:])
        filled[layout.first] = own
        return filled.unflatten(0, layout.numbers.shape), None

"""Runs a model's real code on the meta device and keeps count: the memory it would hold at each moment, and its work.

Nothing is computed, so seven billion parameters take a second. What is counted is what autograd and the modules really
keep, in the types they really have, with gradient checkpointing as it really recomputes. What cannot be seen from here
is what kernels take for themselves: attention is taken to be one of the kernels that keep no matrix of all positions by
all positions, unless the model spells it out (`eager`).
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

from urm_ray.planning.operations import result, tensors

_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


class RehearsalError(ValueError):
    """A model whose code looks at values that are not there on the meta device."""


@dataclass(frozen=True)
class Rehearsal:
    """What one pass holds beside parameters, and how much it computes."""

    moments: tuple[tuple[int, int], ...]
    """In order, between two gradients that were finished: the most bytes held beside parameters and finished gradients,
    and how many elements had a finished gradient."""
    flops: float
    """Floating point operations, a multiplication and an addition being two; causal attention counts as whole."""

    def peak(self, gradient_bytes: float = 0.0, reducing: float = 0.0) -> float:
        """The most bytes held at once, where each element of a finished gradient takes so many, and so many more are
        taken once there are any."""
        return max(held + gradient_bytes * finished + reducing * bool(finished) for held, finished in self.moments)


def extended(one: Rehearsal, two: Rehearsal, rows: int) -> Rehearsal:
    """A pass over so many rows, from the same pass over one and over two: every further row adds the same."""
    pairs = zip(one.moments, two.moments, strict=True)
    moments = tuple((round(a + (rows - 1) * (b - a)), finished) for (a, finished), (b, _) in pairs)
    return Rehearsal(moments, one.flops + (rows - 1) * (two.flops - one.flops))


def rehearse(run: Callable[[], Any], *modules: Any) -> Rehearsal:
    """Counts what `run` does with modules on the meta device: a forward pass, and a backward pass if it makes one.

    Gradients of the modules are counted as finished from when autograd has put them in their place. Within `run`,
    `repeated` lets one thing stand for many. RehearsalError where the code of a model cannot be followed.
    """
    books = _Books([tensor for module in modules for tensor in (*module.parameters(), *module.buffers())])
    parameters = {id(p): p for module in modules for p in module.parameters() if p.requires_grad}.values()
    hooks = [p.register_post_accumulate_grad_hook(books.finish) for p in parameters]
    _Books.open.append(books)
    try:
        with books, _light_attention():
            run()
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise RehearsalError(f"{type(modules[0]).__name__} cannot be followed without its values: {error}") from error
    finally:
        _Books.open.pop()
        for hook in hooks:
            hook.remove()
        for parameter in parameters:
            parameter.grad = None
    return Rehearsal((*books.moments, (books.most, books.finished)), books.flops)


def repeated(make: Callable[[], torch.Tensor], times: float) -> torch.Tensor:
    """What `make` gives, (n, ...), as (n * times, ...); all that making it holds and computes counts so many times.

    A clip's frames go through an encoder alike and alone, and need not all be followed. Backward passes count alike, as
    long as what comes before is made later: autograd goes back in the reverse order.
    """
    books = _Books.open[-1]
    books.times = times
    try:
        made = make()
    finally:
        books.times = 1
    return _Repeat.apply(made, books, times)


class _Repeat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, made: torch.Tensor, books: _Books, times: float) -> torch.Tensor:
        ctx.books, ctx.times, ctx.shape = books, times, made.shape
        return made.new_empty(round(len(made) * times), *made.shape[1:])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        ctx.books.times = ctx.times
        return gradient.new_empty(ctx.shape), None, None


class _Books(TorchDispatchMode):
    """Follows every storage that comes to be on the meta device until it is given up."""

    open: ClassVar[list[_Books]] = []

    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.sizes = {tensor.untyped_storage()._cdata: 0 for tensor in known}
        self.held = self.most = self.finished = 0
        self.flops = 0.0
        self.times: float = 1
        self.moments: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [tensor.is_meta for tensor in tensors((*args, *kwargs.values()))]
        if any(given) and not all(given):
            # Sizes and places of pictures are real, small and on the CPU, and meet the model here.
            args, kwargs = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta and args[0].dtype == torch.bool:
            return True  # models ask whether nothing is padded, whether positions run on: here they do
        made = result(func, args, kwargs) if any(given) else func(*args, **kwargs)
        for tensor in tensors(made if isinstance(made, (tuple, list)) else (made,)):
            if tensor.is_meta:
                self._hold(tensor.untyped_storage())
        self.most = max(self.most, self.held)
        if formula := flop_registry.get(getattr(func, "overloadpacket", None)):
            self.flops += self.times * formula.__wrapped__(*map(_shape, args), out_shape=_shape(made))
        return made

    def _hold(self, storage: Any) -> None:
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = round(self.times * storage.nbytes())
            self.held += self.sizes[key]
            weakref.finalize(storage, self._give_up, key)

    def _give_up(self, key: int) -> None:
        self.held -= self.sizes.pop(key)

    def finish(self, parameter: torch.Tensor) -> None:
        """Takes a parameter's gradient out of what is held, and begins a new moment."""
        assert parameter.grad is not None
        self.moments.append((self.most, self.finished))
        key = parameter.grad.untyped_storage()._cdata
        self.held -= self.sizes.get(key, 0)
        self.sizes[key] = 0
        self.finished += parameter.numel()
        self.most = self.held


def _shape(value: Any) -> Any:
    """The shape of a tensor or of each in a tuple, as torch's formulas take them; other values as they are."""
    if isinstance(value, tuple):
        return tuple(map(_shape, value))
    return value.shape if isinstance(value, torch.Tensor) else value


@contextlib.contextmanager
def _light_attention() -> Iterator[None]:
    """Scaled dot product attention by a kernel that keeps no scores: on the meta device torch would spell it out."""
    functional: Any = torch.nn.functional
    usual = functional.scaled_dot_product_attention

    def light(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        if query.ndim != 4 or not query.is_meta or value.shape[-1] != query.shape[-1]:
            return usual(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        return _ATTENTION(query, key, value, 0.0, is_causal, attn_mask=attn_mask, scale=scale)[0]

    functional.scaled_dot_product_attention = light
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = usual

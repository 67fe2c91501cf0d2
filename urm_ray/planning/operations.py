"""Operations on the meta device, looked up where the same have been seen.

Torch works out shapes in Python, slowly, and a model repeats the same layer many times.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

Form = tuple[torch.Size, tuple[int, ...], torch.dtype]
"""Shape, strides and type of a tensor."""

_seen: dict[Any, list[Form] | None] = {}
"""By an operation and what it was given: the forms of the new tensors that it gives; None where it gives anything else,
such as a view of what it was given."""


def tensors(values: Iterable[Any]) -> list[torch.Tensor]:
    """The tensors among values and in lists among them; torch's own walk through trees takes longer than operations."""
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += tensors(value)
    return found


def result(func: Any, args: Any, kwargs: Any) -> Any:
    """What an operation gives, all of whose tensors are on the meta device."""
    try:
        key = func, _form(args), _form(tuple(kwargs.items()))
        forms = _seen.get(key)
    except TypeError:  # something that cannot be looked up, such as a generator
        return func(*args, **kwargs)
    if forms:
        made = [torch.empty_strided(shape, stride, dtype=t, device="meta") for shape, stride, t in forms]
        return made[0] if len(made) == 1 else tuple(made)
    given = func(*args, **kwargs)
    if key not in _seen:
        _seen[key] = _new(func, given, tensors((*args, *kwargs.values())))
    return given


def _new(func: Any, made: Any, given: list[torch.Tensor]) -> list[Form] | None:
    several = made if isinstance(made, tuple) else (made,)
    old = {tensor.untyped_storage()._cdata for tensor in given}
    for tensor in several:
        if not isinstance(tensor, torch.Tensor) or not tensor.is_meta or tensor.untyped_storage()._cdata in old:
            return None
    if func._schema.is_mutable:
        return None
    return [_form(tensor) for tensor in several]


def _form(value: Any) -> Any:
    """What of an argument decides the forms of results, to be looked up by. 1, 1.0 and True are not the same."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype
    if isinstance(value, (list, tuple)):
        return tuple(map(_form, value))
    return type(value), value

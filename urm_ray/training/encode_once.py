"""Makes a chat VLM read the batches of `AnswerPairs`: pixels once for both answers of a pair, a blank where none are.

Under ZeRO-3 all ranks must run the same modules in the same order. A rank whose batch has no picture runs the vision
encoder on the blank, whose features are cut down to none: they enter no sequence, and its gradients are zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def encode_once(model: Any) -> None:
    """From now on the model (no adapter's wrapper) takes batches of `AnswerPairs` and no others."""
    backbone = model.base_model
    for name in ("get_image_features", "get_video_features"):
        if hasattr(backbone, name):
            setattr(backbone, name, _for_both_halves(getattr(backbone, name)))


def _for_both_halves(encode: Callable[..., Any]) -> Callable[..., Any]:
    """encode: gives an output whose `pooler_output` holds one tensor for each picture, or one tensor for all."""

    @wraps(encode)
    def encoded(*args: Any, **kwargs: Any) -> Any:
        pixels = args[:1]
        named = {name: value for name, value in kwargs.items() if not name.startswith("pixel_values")}
        descriptions = [v for v in (*args[1:], *named.values()) if isinstance(v, torch.Tensor)]
        blank = len(descriptions[0]) % 2 == 1  # all but the blank are described twice
        output = encode(*pixels, *map(_first_half, args[1:]), **kwargs | {k: _first_half(v) for k, v in named.items()})
        features = output.pooler_output
        if isinstance(features, torch.Tensor):
            output.pooler_output = features[:0] if blank else torch.cat([features, features])
        else:
            output.pooler_output = [f[:0] for f in features] if blank else [*features, *features]
        return output

    return encoded


def _first_half(value: Any) -> Any:
    return value[: (len(value) + 1) // 2] if isinstance(value, torch.Tensor) else value

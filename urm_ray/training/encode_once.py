"""Makes a chat VLM read the batches of `AnswerPairs`: media once for both answers of a pair, a blank where none are.

Under ZeRO-3 all ranks must run the same modules in the same order. A rank whose batch has no picture runs the vision
encoder on the blank, whose features are cut down to none: they enter no sequence, and its gradients are zeros.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch

from urm_ray.vlms import LAYERED, PER_TOKEN, PIXELS, encode


def encode_once(model: Any) -> None:
    """From now on the model (no adapter's wrapper) takes batches of `AnswerPairs` and no others."""
    backbone = model.base_model
    plain = backbone.forward

    @wraps(plain)
    def forward(input_ids: torch.Tensor, **inputs: Any) -> Any:
        encoded = {}
        for kind in PIXELS:
            output = encode(backbone, kind, inputs)
            if output is not None:
                is_shown = bool((input_ids == getattr(model.config, f"{kind}_token_id")).any())
                encoded[kind] = _repeated(output, 2 if is_shown else 0)
        # What describes media tells positions, too, and does so for either half.
        inputs = {name: _twice(name, value) for name, value in inputs.items() if not name.startswith("pixel_")}
        return plain(input_ids=input_ids, mm_encoder_outputs=encoded or None, **inputs)

    backbone.forward = forward


def _repeated(output: Any, times: int) -> Any:
    """An encoder's output whose features come so many times, one after the other; those of no time keep their graph."""
    output.pooler_output = _copies(output.pooler_output, times)
    if output.get(LAYERED) is not None:
        setattr(output, LAYERED, [_copies(layer, times) for layer in output[LAYERED]])
    return output


def _copies(features: Any, times: int) -> Any:
    """features: one tensor for each picture, or one tensor for all."""
    if isinstance(features, torch.Tensor):
        return torch.cat([features] * times) if times else features[:0]
    return [*features] * times if times else [one[:0] for one in features]


def _twice(name: str, value: Any) -> Any:
    if name in PER_TOKEN or not isinstance(value, torch.Tensor | list):
        return value
    return torch.cat([value, value]) if isinstance(value, torch.Tensor) else value * 2

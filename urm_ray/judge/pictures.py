"""Pictures and clips that stand in several questions go through the vision encoder once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from urm_ray.vlms import LAYERED, PIXELS, encode

_COUNTS = "batch_num_images"
"""Of the LLaVA-OneVision family: how many pictures each row has; alone in its row, one is seen in more detail."""


class NotSharedError(ValueError):
    """Inputs of a layout that cannot be taken apart picture by picture."""


@dataclass
class Encoded:
    """What vision encoders make of all pictures and clips of a batch.

    outputs: by kind of slot, what a backbone takes as `mm_encoder_outputs`. same: by kind of slot, a number for each
    token in the slots, row by row, which is equal where the same part of the same picture stands.
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    same: dict[str, torch.Tensor] = field(default_factory=dict)


def encode_each(backbone: Any, inputs: Mapping[str, Any]) -> Encoded:
    """Encodes each picture and clip among model inputs once; NotSharedError where they cannot be told apart."""
    encoded = Encoded()
    for kind, pixels in PIXELS.items():
        encoder = getattr(backbone, f"get_{kind}_features", None)
        if encoder is None or pixels not in inputs:
            continue
        taken = inspect.signature(encoder).parameters
        given = {name: inputs[name] for name in taken if isinstance(inputs.get(name), torch.Tensor)}
        parts = _taken_apart(given, given.pop(pixels), pixels)
        chosen, which = _different(parts)
        output = encode(backbone, kind, {**inputs, **_put_together([parts[n] for n in chosen], pixels)})
        encoded.outputs[kind], encoded.same[kind] = _as_often_as_seen(output, len(chosen), which)
    return encoded


def _taken_apart(given: dict[str, torch.Tensor], values: torch.Tensor, pixels: str) -> list[dict[str, torch.Tensor]]:
    """What describes each picture, in order. values: the pixels, in rows of patches where there are grids."""
    grids = next((value for name, value in given.items() if name.endswith("_grid_thw")), None)
    own = list(values.split(grids.prod(1).tolist())) if grids is not None else list(values)
    parts = [{pixels: one} for one in own]
    for name, value in given.items():
        if name == _COUNTS:
            value = torch.cat([count.expand(int(count)) for count in value]) == 1
        if len(value) != len(parts):
            raise NotSharedError(f"{name} has {len(value)} rows for {len(parts)} pictures")
        for part, one in zip(parts, value, strict=True):
            part[name] = one
    return parts


def _different(parts: list[dict[str, torch.Tensor]]) -> tuple[list[int], list[int]]:
    """(the numbers of pictures of which no two are equal, for each picture its place among these)."""
    found: dict[Any, list[int]] = {}
    chosen: list[int] = []
    which: list[int] = []
    for number, part in enumerate(parts):
        alike = found.setdefault(tuple(map(_glance, part.values())), [])
        same = next((n for n in alike if all(torch.equal(parts[n][name], part[name]) for name in part)), None)
        if same is None:
            alike.append(number)
            chosen.append(number)
        which.append(number if same is None else same)
    if _COUNTS in parts[0]:  # a row each for those that are alone, then one row for all others, of two or more
        chosen.sort(key=lambda n: not parts[n][_COUNTS])
        others = [n for n in chosen if not parts[n][_COUNTS]]
        chosen += others if len(others) == 1 else []
    place = {number: chosen.index(number) for number in set(chosen)}
    return chosen, [place[number] for number in which]


def _glance(value: torch.Tensor) -> tuple[Any, ...]:
    """What equal tensors have in common, read off quickly."""
    flat = value.reshape(-1)
    return (*value.shape, *flat[:: max(1, len(flat) // 16)].tolist())


def _put_together(parts: list[dict[str, torch.Tensor]], pixels: str) -> dict[str, torch.Tensor]:
    """Encoder inputs for these pictures."""
    has_grids = any(name.endswith("_grid_thw") for name in parts[0])
    made = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        if name == _COUNTS:
            alone = int(torch.stack(values).sum())
            counts = [1] * alone + [len(values) - alone] * (len(values) > alone)
            made[name] = torch.tensor(counts, device=values[0].device)
        else:
            made[name] = torch.cat(values) if name == pixels and has_grids else torch.stack(values)
    return made


def _as_often_as_seen(output: Any, count: int, which: list[int]) -> tuple[Any, torch.Tensor]:
    """An encoder's output as if each picture had been encoded wherever it stands, and the number of each token."""
    features = output.pooler_output
    if len(features) != count:
        raise NotSharedError(f"the encoder gives {len(features)} parts for {count} pictures")
    sizes = [len(one) for one in features]
    starts = torch.tensor([0, *sizes]).cumsum(0).tolist()
    if isinstance(features, torch.Tensor):
        output.pooler_output = features[torch.tensor(which, device=features.device)]
    else:
        output.pooler_output = [features[n] for n in which]
    if output.get(LAYERED) is not None:
        layers = [layer.split(sizes) if isinstance(layer, torch.Tensor) else layer for layer in output[LAYERED]]
        setattr(output, LAYERED, [[layer[n] for n in which] for layer in layers])
    return output, torch.cat([torch.arange(starts[n], starts[n] + sizes[n]) for n in which])

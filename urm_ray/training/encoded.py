"""Tensors as Arrow values, and encoded pairs as training batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import torch

from urm_ray.training.guards import TrainingError


def pack(tensor: torch.Tensor) -> dict[str, Any]:
    """A `schema.TENSOR` value. Bytes with a shape beside them, since one table may hold tensors of several shapes."""
    data = tensor.detach().cpu().contiguous()
    return {
        "dtype": str(data.dtype).removeprefix("torch."),
        "shape": list(data.shape),
        "data": data.reshape(-1).view(torch.uint8).numpy().tobytes(),
    }


def pack_named(tensors: dict[str, torch.Tensor]) -> list[dict[str, Any]]:
    """The value of a list of named tensors, as `conditioning` of `schema.ENCODED_PAIR`."""
    return [{"name": name, "tensor": pack(tensor)} for name, tensor in tensors.items()]


def unpack(value: pa.StructScalar) -> torch.Tensor:
    """The tensor of a `schema.TENSOR` value. It lies in Arrow's memory, so it must not be written to."""
    dtype = getattr(torch, value["dtype"].as_py())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        return torch.frombuffer(value["data"].as_buffer(), dtype=dtype).reshape(value["shape"].as_py())


def stack(values: Iterable[pa.StructScalar]) -> torch.Tensor:
    """The tensors of a column as one of (B, ...), in float32 unless they are whole numbers or masks."""
    tensors = [unpack(value) for value in values]
    shapes = sorted({tuple(tensor.shape) for tensor in tensors})
    if len(shapes) > 1:
        raise TrainingError(f"one batch holds pairs of unlike shapes {shapes}: take one size, or batches of one pair")
    stacked = torch.stack(tensors)
    return stacked.float() if stacked.is_floating_point() else stacked


def stack_named(column: pa.ChunkedArray) -> dict[str, torch.Tensor]:
    """The named tensors of a column, each as one of (B, ...)."""
    rows = [{item["name"].as_py(): item["tensor"] for item in row} for row in column]
    return {name: stack([row[name] for row in rows]) for name in rows[0]}


def collate_encoded(table: pa.Table) -> dict[str, Any]:
    """`schema.ENCODED_PAIR` rows that were kept as a batch of B pairs, winners first.

    mean, std: posterior of the latents (2B, C, h, w) or (2B, C, F, h, w). conditioning: by name, each (B, ...). ids:
    the B pair ids. reference: stored errors of the reference (2B, K), where they were stored.
    """
    batch: dict[str, Any] = {"ids": table["pair_id"].to_pylist(), "conditioning": stack_named(table["conditioning"])}
    for part in ("mean", "std"):
        batch[part] = torch.cat([stack(table[f"{side}_{part}"]) for side in ("chosen", "rejected")])
    if not table["chosen_reference"].null_count:
        errors = [row for side in ("chosen", "rejected") for row in table[f"{side}_reference"].to_pylist()]
        batch["reference"] = torch.tensor(errors)
    return batch

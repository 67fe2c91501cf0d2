"""Which rows a training reads, before there is any tensor: what tasks and drivers do, which have no need of torch."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray.config_policy import ClipConfig
from urm_ray.config_training import VlmDpoConfig
from urm_ray.judge.target import SWAPPED
from urm_ray.schema import digest


def both_orders(batch: pa.Table) -> pa.Table:
    """Every pair row twice, as it is and swapped, one behind the other; a point row once. Adds the column `swapped`."""
    index: list[int] = []
    swapped: list[bool] = []
    for i, kind in enumerate(batch["kind"].to_pylist()):
        orders = (False, True) if kind == "pair" else (False,)
        index += [i] * len(orders)
        swapped += orders
    return batch.take(pa.array(index, pa.int64())).append_column(SWAPPED, pa.array(swapped, pa.bool_()))


def fitting(batch: pa.Table) -> pa.Table:
    """The rows of a batch with `schema.REFERENCE` columns that can be trained on."""
    return batch.filter(pc.is_null(batch["unfit"]))


def kept(batch: pa.Table) -> pa.Table:
    """The rows of a batch of `schema.ENCODED_PAIR` that can be trained on."""
    return batch.filter(pc.is_null(batch["dropped"]))


def reference_digest(policy_digest: str, config: VlmDpoConfig, clips: ClipConfig) -> str:
    """Digest of all that decides which pairs have stored log-probabilities, and which.

    policy_digest: of the reference's weights.
    """
    settings = config.bf16, config.attention, config.max_length
    return digest("reference", policy_digest, settings, clips.model_dump())

"""Feeds a trainer from a Ray Data shard, in an order that a restart can take up again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa


class ShardBatches:
    """Micro-batches of this worker's shard of a Ray dataset, from the `start`-th on.

    The shard holds every epoch one after the other and arrives in a fixed order, and the shuffle window is seeded, so
    the n-th micro-batch is the same in every run. Skipped micro-batches are read but neither decoded nor collated.
    """

    def __init__(
        self,
        shard: Any,
        collate: Callable[[pa.Table], dict[str, Any]],
        batch: int,
        total: int,
        start: int,
        seed: int,
        window: int,
    ) -> None:
        self.shard, self.collate, self.batch, self.total = shard, collate, batch, total
        self.start, self.seed, self.window = start, seed, window

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[dict[str, Any]]:
        tables = self.shard.iter_batches(
            batch_size=self.batch,
            batch_format="pyarrow",
            drop_last=True,
            prefetch_batches=2,
            local_shuffle_buffer_size=max(self.window, self.batch),
            local_shuffle_seed=self.seed,
        )
        for number, table in enumerate(tables):
            if number >= self.total:
                return
            if number >= self.start:
                yield self.collate(table)

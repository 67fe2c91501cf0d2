"""Feeds a trainer from a Ray Data shard, in an order that a restart can take up again, ahead of its steps."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from typing import Any, TypeVar

import pyarrow as pa

Made = TypeVar("Made")

_AHEAD = 2
"""Micro-batches that lie ready."""
_LOOK = 0.2
"""Seconds after which a thread looks whether the other is still there."""


class ShardBatches:
    """Micro-batches of this worker's shard of a Ray dataset, from the `start`-th on.

    The shard holds every epoch one after the other and arrives in a fixed order, and the shuffle window is seeded, so
    the n-th micro-batch is the same in every run. Skipped micro-batches are read but neither decoded nor collated. A
    thread of their own decodes and collates the next ones while the trainer is at its step.
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
        return ahead(self._batches(), _AHEAD)

    def _batches(self) -> Iterator[dict[str, Any]]:
        tables = self.shard.iter_batches(
            batch_size=self.batch,
            batch_format="pyarrow",
            drop_last=True,
            prefetch_batches=2,
            local_shuffle_buffer_size=max(self.window, self.batch),
            local_shuffle_seed=self.seed,
        )
        return map(self.collate, itertools.islice(tables, self.start, self.total))


def ahead(source: Iterator[Made], count: int) -> Iterator[Made]:
    """What the source gives, in its order, made in a thread up to `count` ahead; its errors come in their place."""
    ready: Queue[tuple[Made | None, BaseException | None]] = Queue(count)
    is_over = threading.Event()

    def put(made: Made | None, error: BaseException | None = None) -> None:
        while not is_over.is_set():
            try:
                return ready.put((made, error), timeout=_LOOK)
            except Full:
                continue

    def make() -> None:
        try:
            for made in source:
                put(made)
                if is_over.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=make, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            made, error = _next(ready, thread)
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield made
    finally:
        is_over.set()


def _next(ready: Queue[Any], thread: threading.Thread) -> Any:
    while True:
        try:
            return ready.get(timeout=_LOOK)
        except Empty:
            if not thread.is_alive() and ready.empty():
                raise RuntimeError("the thread that makes batches has ended without a word") from None

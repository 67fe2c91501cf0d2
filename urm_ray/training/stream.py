"""Feeds a trainer from a Ray Data shard, in an order that a restart can take up again, ahead of its steps."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, Full, Queue
from typing import Any, TypeVar, cast

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

    def __iter__(self) -> Ahead[dict[str, Any]]:
        return Ahead(self._batches(), _AHEAD)

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


class Ahead(Iterator[Made]):
    """What a source gives, in its order, made in a thread up to `count` ahead from now on; its errors come in their
    place."""

    def __init__(self, source: Iterator[Made], count: int) -> None:
        self._ready: Queue[tuple[Made | None, BaseException | None]] = Queue(count)
        is_over = threading.Event()
        self.close = weakref.finalize(self, is_over.set)
        self._thread = threading.Thread(target=_make, args=(source, self._ready, is_over), name="batches", daemon=True)
        self._thread.start()

    def __next__(self) -> Made:
        if not self.close.alive:
            raise StopIteration
        made, error = self._next()
        if error is not None:
            self.close()
            raise error
        return cast(Made, made)

    def _next(self) -> tuple[Made | None, BaseException | None]:
        while True:
            try:
                return self._ready.get(timeout=_LOOK)
            except Empty:
                if not self._thread.is_alive() and self._ready.empty():
                    raise RuntimeError("the thread that makes batches has ended without a word") from None


def _make(source: Iterator[Any], ready: Queue[Any], is_over: threading.Event) -> None:
    def put(made: Any, error: BaseException | None = None) -> None:
        while not is_over.is_set():
            try:
                return ready.put((made, error), timeout=_LOOK)
            except Full:
                continue

    try:
        for made in source:
            put(made)
            if is_over.is_set():
                return
        put(None, StopIteration())
    except BaseException as error:
        put(None, error)


class DealtBatches:
    """The micro-batches of several shares of the rows, `turn` of one after `turn` of another: what as many workers
    would see in a step, one worker sees in their order."""

    def __init__(self, shares: Sequence[ShardBatches], turn: int) -> None:
        self.shares, self.turn = shares, turn
        self.start = shares[0].start

    def __len__(self) -> int:
        return sum(map(len, self.shares))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        streams = [iter(share) for share in self.shares]  # all at once: none gives anything before each is asked
        try:
            while True:
                for stream in streams:
                    given = 0
                    for batch in itertools.islice(stream, self.turn):
                        given += 1
                        yield batch
                    if given < self.turn:
                        return
        finally:
            for stream in streams:
                stream.close()

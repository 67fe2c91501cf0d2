"""A trainer of transformers as one side of a benchmark: each turn is a `train` of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import torch
from rounds import Side
from transformers import TrainerCallback

ARGUMENTS: dict[str, Any] = {
    "report_to": [],
    "disable_tqdm": True,
    "save_strategy": "no",
    "logging_steps": 1,
    "learning_rate": 1e-6,
    "lr_scheduler_type": "constant",
    "gradient_checkpointing": False,
    "use_cpu": not torch.cuda.is_available(),
    "bf16": torch.cuda.is_available(),
}
"""Of both sides."""


class Watch(TrainerCallback):
    """The time from before the first batch is asked for to the last step taken, and every loss."""

    def __init__(self) -> None:
        self.began = self.seconds = 0.0
        self.losses: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.began = time.perf_counter()

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])

    def on_train_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.began


def side(name: str, trainer: Any, rows: int) -> tuple[Side, Watch]:
    """rows: of one turn."""
    watch = Watch()
    trainer.add_callback(watch)
    for printing in [c for c in trainer.callback_handler.callbacks if "Print" in type(c).__name__]:
        trainer.remove_callback(printing)

    def run() -> tuple[float, float]:
        trainer.train()
        return rows, watch.seconds

    return Side(name, run), watch


def losses(ours: Watch, theirs: Watch) -> Callable[[], dict[str, Any]]:
    """A check: the losses of all steps of both sides, and how far they are apart at most."""

    def check() -> dict[str, Any]:
        apart = max(abs(a - b) for a, b in zip(ours.losses, theirs.losses, strict=True))
        if apart > 1e-3 * max(theirs.losses):
            raise AssertionError(f"the losses differ by {apart}: {ours.losses} and {theirs.losses}")
        return {"steps": len(ours.losses), "first": ours.losses[0], "last": ours.losses[-1], "apart": apart}

    return check


class Shard:
    """Stands for a Ray Data shard: the same table again and again."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def iter_batches(self, *, batch_size: int, **_: Any) -> Iterator[pa.Table]:
        while True:
            yield from (self.table.slice(at, batch_size) for at in range(0, self.table.num_rows, batch_size))

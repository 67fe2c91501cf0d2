"""Streams the rows of units through operators and writes them back as units."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import ray
from ray.data._internal.execution.execution_callback import ExecutionCallback

from urm_ray import store
from urm_ray.config_training import TrainConfig
from urm_ray.pipeline.balance import Pools
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.counts import of_row
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.placement import need_pools
from urm_ray.pipeline.pools import beside
from urm_ray.pipeline.progress import Progress
from urm_ray.pipeline.units import WriteUnits, pending, plan
from urm_ray.run_folder import Stage

LIGHT = 0.1
"""CPUs of tasks that mostly wait for files."""

Operators = Callable[[Any, SharedLedger], Any]


def stream_units(
    name: str,
    files: list[str],
    folder: str,
    unit_rows: int,
    id_column: str,
    output: pa.Schema,
    operators: Operators,
    put_aside_share: float = 0.05,
    stage: Stage | None = None,
    pools: Pools | None = None,
) -> dict[str, float]:
    """Streaming Ray Data from parquet files to a folder of unit files: one execution, or two where pools are measured.

    operators: adds its `map_batches` calls to a dataset of units (`units.plan`), one a row; the first of them reads the
    units' rows (`units.read_unit`). Units that have their file are not done again. Its actors share a ledger of what
    they have begun, so that a row that ends its actor is not tried for ever.
    put_aside_share: as `RunConfig.put_aside_share`. stage: of `Progress`.
    pools: those of the operators. StoreError where no node can hold an actor of one.
    Returns `progress.at_work` of the last execution; nothing where there was nothing left to do.
    """
    units = plan(files, unit_rows)
    todo = pending(units, folder)
    if not todo:
        return {}
    connect()
    if pools:
        need_pools(name, dict(pools))
    total, left = (sum(u["rows"] for u in some) for some in (units, todo))
    progress = Progress(name, total, total - left, stage=stage)
    writer = WriteUnits(folder, id_column, output, name)
    ledger = SharedLedger(name, left, put_aside_share)
    busy: dict[str, float] = {}
    for part in pools.rounds(todo) if pools else [todo]:
        started = time.monotonic()
        reports = operators(ray.data.from_items(part, override_num_blocks=len(part)), ledger).map_batches(
            writer, batch_size=None, batch_format="pyarrow", **(beside(pools) if pools else {"num_cpus": LIGHT})
        )
        for report in reports.iter_rows():
            progress.add(report["rows"], of_row(report))
        progress.show()
        busy = progress.show_at_work(reports.get_stats_summary(), time.monotonic() - started)
    for unit in pending(todo, folder):  # two writers may each have missed the other's last fragment
        if not writer.join(unit["unit"], unit["rows"]):
            raise store.StoreError(f"stage {name}: unit {unit['unit']} is incomplete in {folder}")
    return busy


CHUNK_BYTES = 32 << 20


class Unhurried(ExecutionCallback):
    """Lets the loop that feeds a training pause. While the workers are busy there is nothing for it to do, and in Ray
    2.60 it then goes round without a pause, on a whole CPU core that small machines need for the training."""

    PAUSE = 0.02

    def on_execution_step(self, executor: Any) -> None:
        time.sleep(self.PAUSE)


class ReadFiles:
    """Turns rows that each name some parquet files into the rows of these files."""

    def __init__(self, columns: list[str]) -> None:
        self.columns = columns

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables(
            [store.read_table(file, self.columns) for files in batch["files"].to_pylist() for file in files]
        )


def training_rows(files: list[str], columns: list[str], passes: int) -> Any:
    """A dataset that streams the rows of the files, in order, `passes` times over: all epochs as one execution.

    Small files are read together, so that many passes over little data stay cheap.
    """
    chunks: list[list[str]] = [[]]
    size = 0
    for file, bytes_ in zip(files, store.read_ahead(files, store.size_of), strict=True):
        size += bytes_
        chunks[-1].append(file)
        if size >= CHUNK_BYTES:
            chunks.append([])
            size = 0
    items = [{"files": chunk} for chunk in chunks if chunk] * passes
    rows = ray.data.from_items(items, override_num_blocks=len(items))
    rows.context.custom_execution_callback_classes.append(Unhurried)
    return rows.map_batches(ReadFiles(columns), batch_size=1, batch_format="pyarrow", num_cpus=LIGHT)


def passes_needed(rows: int, config: TrainConfig) -> int:
    """Passes over `rows` rows that a training needs, and one to spare: a worker's share may end within a batch."""
    needed = config.steps * config.accumulate * config.batch * config.workers
    return -(-needed // max(1, rows)) + 1

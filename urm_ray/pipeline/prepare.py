"""Stage 1: human preferences and prompts of a source, checked, as parquet in the schema."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import ray

from urm_ray import schema, store
from urm_ray.config import Task
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.progress import Progress
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.units import file_name
from urm_ray.sources.check import check_preference, check_prompt
from urm_ray.sources.registry import PARTS, Part, Rejected, Source, SourceError, source
from urm_ray.store import Stage

_COUNTS = pa.schema([("part", pa.string()), ("rows", pa.int64()), ("rejected", pa.int64())])


def part_source(config: dict[str, Any], seed: int, task: Task, part: str) -> Source:
    """The configured source of a part. config: the `prepare` section."""
    wanted: dict[str, int] = {name: config[name] for name in PARTS}
    kind = "prompts" if part.endswith("prompts") else "preferences"
    return source(config[kind], config[f"{kind}_path"], seed, task, wanted)


class PrepareUnit:
    """Reads, checks and writes a range of rows of one part; returns how many were kept and how many put aside."""

    def __init__(self, config: dict[str, Any], seed: int, task: Task, folder: str) -> None:
        self.config, self.seed, self.task, self.folder = config, seed, task, folder

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.Table.from_pylist([self._unit(unit) for unit in batch.to_pylist()], _COUNTS)

    def _unit(self, unit: dict[str, Any]) -> dict[str, Any]:
        part = unit["part"]
        is_prompt = part.endswith("prompts")
        kept: list[dict[str, Any]] = []
        rejected: list[Rejected] = []
        for row in part_source(self.config, self.seed, self.task, part).read(part, unit["start"], unit["stop"]):
            problem = row if isinstance(row, Rejected) else check_prompt(row) if is_prompt else check_preference(row)
            if problem is None and isinstance(row, dict):
                kept.append(row)
            elif problem is not None:
                rejected.append(problem)
        # The quarantine goes first: the unit's own file is what makes it done.
        if rejected:
            rows = [{**r.__dict__, "stage": "prepare"} for r in rejected]
            table = schema.table_of(rows, schema.QUARANTINE)
            store.write_table(store.join(self.folder, "quarantine", part, file_name(unit["unit"])), table)
        table = schema.table_of(kept, schema.PROMPT if is_prompt else schema.PREFERENCE)
        store.write_table(store.join(self.folder, part, file_name(unit["unit"])), table)
        return {"part": part, "rows": len(kept), "rejected": len(rejected)}


def units_of(run: Run, task: Task, part: Part, folder: str) -> list[dict[str, Any]]:
    """Ranges of a part that have no file yet."""
    config = run.config.prepare.of_task(task)
    size = part_source(config.model_dump(), run.config.run.seed, task, part).size(part)
    starts = range(0, size, config.unit_rows)
    units: list[dict[str, Any]] = [
        {"part": part, "unit": n, "start": start, "stop": min(size, start + config.unit_rows)}
        for n, start in enumerate(starts)
    ]
    there = {file.rsplit("/", 1)[-1] for file in store.list_files(store.join(folder, part), ".parquet")}
    return [unit for unit in units if file_name(unit["unit"]) not in there]


def prepare(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    config = run.config.prepare.of_task(task)
    todo = [unit for part in PARTS for unit in units_of(run, task, part, stage.uri)]
    if todo:
        connect()
        work = PrepareUnit(config.model_dump(), run.config.run.seed, task, stage.uri)
        progress = Progress(stage.name, sum(u["stop"] - u["start"] for u in todo), "put aside")
        counts = ray.data.from_items(todo, override_num_blocks=len(todo)).map_batches(
            work, batch_size=1, batch_format="pyarrow", num_cpus=config.cpus
        )
        for row in counts.iter_rows():
            progress.add(row["rows"] + row["rejected"], row["rejected"])
        progress.show()
    rows = {part: sum(store.row_count(f) for f in stage.units(part)) for part in PARTS}
    quarantine = {part: sum(store.row_count(f) for f in stage.units(f"quarantine/{part}")) for part in PARTS}
    for part in ("train_prompts", "heldout_prompts", "heldout_pairs"):
        if not rows[part]:
            raise SourceError(
                f"{stage.name}: no usable row in {part} ({quarantine[part]} were put aside, see {stage.uri}/quarantine)"
            )
    if not rows["train_pairs"] + rows["train_points"]:
        raise SourceError(f"{stage.name}: there is nothing to train the judge on")
    return {"rows": rows, "quarantined": {part: n for part, n in quarantine.items() if n}}

"""Stage 1: human preferences and prompts of a source, checked, as parquet in the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa
import ray

from urm_ray import schema, store
from urm_ray.config_training import Task
from urm_ray.file_systems import is_object, name_of, parent_of
from urm_ray.local_copies import local_copy
from urm_ray.pipeline.attempts import Attempts, Care
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.progress import Progress
from urm_ray.pipeline.quarantine import put_aside
from urm_ray.pipeline.row_groups import RowGroups
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.units import file_name
from urm_ray.run_folder import Stage
from urm_ray.sources.check import check_preference, check_prompt
from urm_ray.sources.reader import READERS
from urm_ray.sources.registry import PARTS, Part, Rejected, Source, SourceError, source

_NAMING = (".csv", ".tsv", ".json", ".jsonl")
"""Files that may name others."""
PROMPT_PARTS: tuple[Part, ...] = ("train_prompts", "heldout_prompts")
ROW_LIMIT_S = 600.0
"""Reading and checking a row for longer is hung."""
_COUNTS = pa.schema([("part", pa.string()), ("rows", pa.int64()), ("rejected", pa.int64())])


def part_source(config: dict[str, Any], seed: int, task: Task, part: str) -> Source:
    """The configured source of a part. config: the `prepare` section."""
    kind = "prompts" if part.endswith("prompts") else "preferences"
    path = config[f"{kind}_path"]
    path = _here(config[kind], path) if path and is_object(path) else path
    return _source(config[kind], path, seed, task, tuple(config[name] for name in PARTS))


def _here(name: str, uri: str) -> str:
    """What a source is given of a place on an object store: a copy on this node. Readers of a text file look
    for what it names beside it, so their copy is of its folder; a prompt file fetches what it names itself."""
    if name == "jsonl":
        return uri
    if name in READERS and name_of(uri).endswith(_NAMING) and (size := store.size_if_file(uri)) is not None:
        return f"{_folder_of(uri, size)}/{name_of(uri)}"
    return local_copy(uri)


@lru_cache(maxsize=2)
def _folder_of(uri: str, size: int) -> str:
    """A copy of the folder that holds a file of that size: listed once, though a source is asked for each unit."""
    return local_copy(parent_of(uri))


@lru_cache(maxsize=2)
def _source(name: str, path: str | None, seed: int, task: Task, wanted: tuple[int, ...]) -> Source:
    """Kept for the next unit: a source has to look through all of its ids to know what belongs to a part."""
    return source(name, path, seed, task, dict(zip(PARTS, wanted, strict=True)))


class PrepareUnit:
    """Reads, checks and writes a range of rows of one part; returns how many were kept and how many put aside."""

    def __init__(self, config: dict[str, Any], seed: int, task: Task, folder: str, care: Care | None = None) -> None:
        self.config, self.seed, self.task, self.folder = config, seed, task, folder
        self.attempts = Attempts("preparing", care)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.Table.from_pylist([self._unit(unit) for unit in batch.to_pylist()], _COUNTS)

    def _unit(self, unit: dict[str, Any]) -> dict[str, Any]:
        name, rows = f"unit {unit['unit']} of {unit['part']}", unit["stop"] - unit["start"]
        return self.attempts.together(name, rows, partial(self._joint, unit), partial(self._each, unit))

    def _read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        return iter(part_source(self.config, self.seed, self.task, part).read(part, start, stop))

    def _rows(self, unit: dict[str, Any], aside: dict[str, str]) -> Iterator[dict[str, Any] | Rejected]:
        if not aside:
            yield from self._read(unit["part"], unit["start"], unit["stop"])
            return
        for n in range(unit["start"], unit["stop"]):
            reason = aside.get(place := f"{unit['part']} row {n}")
            yield from [Rejected(place, reason)] if reason else self._read(unit["part"], n, n + 1)

    def _each(self, unit: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
        """The reading of each row, and then, if it can be read, its check."""
        for n in range(unit["start"], unit["stop"]):
            rows: list[dict[str, Any] | Rejected] = []
            yield f"{unit['part']} row {n}", partial(self._read_into, rows, unit["part"], n)
            for row in rows:
                if isinstance(row, dict):
                    yield _id_of(row), partial(_check, row)

    def _read_into(self, rows: list[dict[str, Any] | Rejected], part: Part, n: int) -> None:
        rows[:] = self._read(part, n, n + 1)

    def _joint(self, unit: dict[str, Any], aside: dict[str, str]) -> dict[str, Any]:
        part = unit["part"]
        is_prompt = part.endswith("prompts")
        rejected: list[Rejected] = []
        seen: set[str] = set()
        target = store.join(self.folder, part, file_name(unit["unit"]))
        with RowGroups(target, schema.PROMPT if is_prompt else schema.PREFERENCE, empty=True) as kept:
            for row in self._rows(unit, aside):
                if isinstance(row, Rejected):
                    problem: Rejected | None = row
                else:
                    reason = aside.get(_id_of(row))
                    problem = Rejected(_id_of(row), reason) if reason else _check(row)
                if problem is None and isinstance(row, dict):
                    # Two prompts with one id would never make a whole unit.
                    if is_prompt and row["prompt_id"] in seen:
                        rejected.append(Rejected(row["prompt_id"], "repeated prompt_id"))
                        continue
                    seen.add(row["prompt_id" if is_prompt else "preference_id"])
                    kept.add(row)
                elif problem is not None:
                    rejected.append(problem)
            # The quarantine goes first: the unit's own file is what makes it done.
            place = store.join(self.folder, "quarantine", part, file_name(unit["unit"]))
            put_aside(place, [{**r.__dict__, "stage": "prepare"} for r in rejected])
        return {"part": part, "rows": kept.rows, "rejected": len(rejected)}


def _id_of(row: dict[str, Any]) -> str:
    return str(row["prompt_id"] if "prompt_id" in row else row["preference_id"])


def _check(row: dict[str, Any]) -> Rejected | None:
    return check_prompt(row) if "prompt_id" in row else check_preference(row)


def units_of(run: Run, task: Task, part: Part, folder: str) -> list[dict[str, Any]]:
    """Ranges of a part that have no file yet."""
    config = run.config.prepare.of_task(task)
    size = part_source(config.model_dump(), run.config.run.seed, task, part).size(part)
    starts = range(0, size, config.unit_rows)
    units: list[dict[str, Any]] = [
        {"part": part, "unit": n, "start": start, "stop": min(size, start + config.unit_rows)}
        for n, start in enumerate(starts)
    ]
    there = {name_of(file) for file in store.list_files(store.join(folder, part), ".parquet")}
    return [unit for unit in units if file_name(unit["unit"]) not in there]


def prepare(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    config = run.config.prepare.of_task(task)
    wanted = config.model_dump()
    parts = [part for part in (PARTS if run.trains_judge else PROMPT_PARTS) if wanted[part]]
    todo = [unit for part in parts for unit in units_of(run, task, part, stage.uri)]
    if todo:
        connect()
        progress = Progress(stage.name, sum(u["stop"] - u["start"] for u in todo), stage=stage)
        care = Care(SharedLedger(stage.name, progress.total, run.config.run.put_aside_share), ROW_LIMIT_S)
        work = PrepareUnit(config.model_dump(), run.config.run.seed, task, stage.uri, care)
        counts = ray.data.from_items(todo, override_num_blocks=len(todo)).map_batches(
            work, batch_size=1, batch_format="pyarrow", num_cpus=config.cpus
        )
        for row in counts.iter_rows():
            progress.add(row["rows"] + row["rejected"], {("put_aside", "row"): row["rejected"]})
        progress.show()
    rows = {part: sum(store.row_counts(stage.units(part))) for part in PARTS}
    quarantine = {part: sum(store.row_counts(stage.units(f"quarantine/{part}"))) for part in PARTS}
    needed: list[tuple[Part, ...]] = [(part,) for part in PROMPT_PARTS if wanted[part]]
    if run.trains_judge:
        needed += [("train_pairs", "train_points"), ("heldout_pairs", "heldout_points")]
    for any_of in needed:
        if not any(rows[part] for part in any_of):
            aside = f"{sum(quarantine[part] for part in any_of)} were put aside, see {stage.path('quarantine')}"
            raise SourceError(f"{stage.name}: no usable row in {' or '.join(any_of)} ({aside})")
    return {"rows": rows, "quarantined": {part: n for part, n in quarantine.items() if n}}

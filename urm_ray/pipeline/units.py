"""Units of work: a fixed set of rows, fixed by ids, that is written as one file or not at all.

A stage reads units, streams their rows through Ray Data, and writes each unit's rows, sorted by id, to one parquet
file. Rows may be regrouped on the way, but not before they have been sampled: a unit is sampled as a whole. A batch
that holds only part of a unit is kept as a fragment until the rest has come; whoever writes the last fragment joins
them. So the files are the same bytes however many actors there were and however often the stage was killed, and a
restart repeats only rows that were in flight.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray import store
from urm_ray.file_systems import name_of
from urm_ray.pipeline.counts import COUNTS, found_in, gathered, noted
from urm_ray.pipeline.quarantine import write_failures
from urm_ray.schema import digest

UNIT, UNIT_ROWS = "unit", "unit_rows"
REPORT = pa.schema([("unit", pa.int64()), ("rows", pa.int64()), ("counts", COUNTS)])


def file_name(unit: int) -> str:
    return f"unit-{unit:06d}.parquet"


def plan(files: list[str], unit_rows: int) -> list[dict[str, Any]]:
    """Units over the rows of parquet files in order: {unit, file, start, rows}. A unit never spans two files."""
    units: list[dict[str, Any]] = []
    for file, rows in zip(files, store.row_counts(files), strict=True):
        for start in range(0, rows, unit_rows):
            units.append({"unit": len(units), "file": file, "start": start, "rows": min(unit_rows, rows - start)})
    return units


def pending(units: list[dict[str, Any]], folder: str) -> list[dict[str, Any]]:
    """The units that have no file in a folder yet."""
    there = {name_of(file) for file in store.list_files(folder, ".parquet")}
    return [unit for unit in units if file_name(unit["unit"]) not in there]


def read_unit(unit: dict[str, Any], columns: list[str] | None = None) -> pa.Table:
    """All rows of a unit, with the columns `unit` and `unit_rows` that tell the writer where they belong."""
    return mark_unit(store.read_table(unit["file"], columns).slice(unit["start"], unit["rows"]), unit)


def mark_unit(rows: pa.Table, unit: dict[str, Any]) -> pa.Table:
    """Rows of a unit with the columns `unit` and `unit_rows`."""
    for name, value in ((UNIT, unit["unit"]), (UNIT_ROWS, unit["rows"])):
        rows = rows.append_column(name, pa.array([value] * len(rows), pa.int64()))
    return rows


def extend(batch: pa.Table, rows: list[dict[str, Any]], fields: list[pa.Field]) -> pa.Table:
    """A batch with more columns, from rows that have them."""
    for field in fields:
        batch = batch.append_column(field, pa.array([row[field.name] for row in rows], field.type))
    return batch


def done_ids(folder: str, unit: int, id_column: str) -> set[str]:
    """Ids of the unit's rows that are in a fragment already."""
    done: set[str] = set()
    for file in fragments(folder, unit):
        with contextlib.suppress(FileNotFoundError):  # a writer has just joined the unit
            done.update(store.read_table(file, [id_column])[id_column].to_pylist())
    return done


def _fragment_folder(folder: str, unit: int) -> str:
    return store.join(folder, "fragments", f"unit-{unit:06d}")


def fragments(folder: str, unit: int) -> list[str]:
    return store.list_files(_fragment_folder(folder, unit), ".parquet")


class WriteUnits:
    """Writes rows that carry `unit` and `unit_rows` and returns for each write how many there were, with what is
    counted of them (`pipeline.counts`).

    stage: under whose name a unit's failures are written beside its rows (`urm_ray.pipeline.quarantine`), if any.
    """

    def __init__(self, folder: str, id_column: str, schema: pa.Schema, stage: str | None = None) -> None:
        self.folder, self.id_column, self.schema, self.stage = folder, id_column, schema, stage

    def __call__(self, batch: pa.Table) -> pa.Table:
        reports = []
        for unit in pc.unique(batch[UNIT]).to_pylist():
            rows = batch.filter(pc.equal(batch[UNIT], unit))
            total = rows[UNIT_ROWS][0].as_py()
            kept = rows.select(self.schema.names).cast(self.schema)
            self._write(unit, kept, total)
            report = pa.table({"unit": pa.array([unit], pa.int64()), "rows": pa.array([len(rows)], pa.int64())})
            reports.append(noted(report, "counts", found_in(kept) + gathered(rows)))
        return pa.concat_tables([REPORT.empty_table(), *reports])

    def _write(self, unit: int, rows: pa.Table, total: int) -> None:
        rows = first_of_each(rows, self.id_column)
        if len(rows) == total:
            self._publish(unit, rows)
            return
        name = digest(sorted(rows[self.id_column].to_pylist()))
        try:
            store.write_table(store.join(_fragment_folder(self.folder, unit), f"{name}.parquet"), rows)
        except (FileNotFoundError, FileExistsError):
            # A writer that had these rows too has joined the unit and tidied up. Where the folder goes while it is
            # made, pyarrow says that something else of its name is there.
            if not store.exists(store.join(self.folder, file_name(unit))):
                raise
        self.join(unit, total)

    def join(self, unit: int, total: int) -> bool:
        """Makes the unit's file once its fragments hold all rows. Two writers may both do it: their bytes are equal."""
        try:
            tables = [store.read_table(file) for file in fragments(self.folder, unit)]
        except FileNotFoundError:  # the other writer was quicker and has tidied up
            return True
        # Of a stage that was begun before a column was added, the first fragments lack it.
        rows = pa.concat_tables(tables, promote_options="default") if tables else None
        if rows is None or len(pc.unique(rows[self.id_column])) < total:
            return False
        self._publish(unit, first_of_each(rows, self.id_column))
        return True

    def _publish(self, unit: int, rows: pa.Table) -> None:
        rows = rows.sort_by(self.id_column)
        if self.stage:  # what failed goes first: the unit's own file is what makes it done
            write_failures(self.folder, file_name(unit), rows, self.stage)
        store.write_table(store.join(self.folder, file_name(unit)), rows)
        with contextlib.suppress(OSError):  # another writer is tidying up, or has just put something there
            store.delete_dir(_fragment_folder(self.folder, unit))


def first_of_each(rows: pa.Table, id_column: str) -> pa.Table:
    """The rows without repeated ids; a row judged twice across a restart has the same content both times."""
    first = dict(zip(reversed(rows[id_column].to_pylist()), reversed(range(len(rows))), strict=True))
    return rows.take(pa.array(sorted(first.values()), pa.int64()))

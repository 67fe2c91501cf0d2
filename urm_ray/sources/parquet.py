"""Preferences from parquet files that already have our own schema (`urm_ray.schema.PREFERENCE`).

Of all rows only ids, prompts' digests and places are held, and media are read a row group at a time, so that a folder
may be far larger than memory. Rows are shuffled by ids, but those of one row group stay together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from urm_ray.config_training import Task
from urm_ray.schema import KINDS, PREFERENCE, TASKS
from urm_ray.sources.check import need_values
from urm_ray.sources.folder import Folder
from urm_ray.sources.records import BATCH
from urm_ray.sources.registry import Part, Rejected, SourceError
from urm_ray.sources.split import first_keys, held_out_key, split

Place = tuple[int, int, int]
"""A row's file, the row group in it, and the row in that."""
_IDS = ["preference_id", "task", "kind", "prompt"]
_WHOLE = -1
"""In place of a row group or row that cannot be told, because more than it is broken."""
LIGHT_ROWS = 4096
"""Rows whose ids and prompts are read at a time."""
STRETCH = 1024
"""Rows of a row group that are kept together; it has fewer where there are media in it."""


@dataclass
class _Rows:
    """Rows of one kind: their ids, the `held_out_key` of their prompts, and where they are."""

    ids: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)


class ParquetPreferences:
    """`path` is a folder of parquet files, or one file; names that begin with an underscore are left out, as what an
    import puts aside. No prompt is both held out and trained on. A file that cannot be read, or lacks a column, and a
    row group that is damaged cost themselves. They come with the first part that has rows, as do rows of no known task
    or kind, so that they are put aside; SourceError where no file can be read.

    Which rows a part has depends on ids and prompts alone; their order also on how they lie in files.
    """

    def __init__(self, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> None:
        if not path or not Path(path).exists():
            raise SourceError(f"prepare.preferences_path: there is no file or folder {path!r}")
        self.folder = Folder(path)
        self.files = self.folder.files("**/*.parquet")
        self.seed, self.task, self.wanted = seed, task, wanted
        self._broken: dict[tuple[int, int], str] = {}
        self._strange: list[Place] = []
        self._need_one()

    def _need_one(self) -> None:
        """SourceError of the first file where none can be read."""
        first: SourceError | None = None
        for number in range(len(self.files)):
            try:
                return self._open(number).close()
            except SourceError as error:
                first = first or error
        if first:
            raise first

    @cached_property
    def _parts(self) -> dict[str, list[Place]]:
        found = {kind: _Rows() for kind in KINDS}
        for number in range(len(self.files)):
            self._list(number, found)
        kept = set().union(
            *(first_keys(rows.prompts, self.wanted.get(f"heldout_{kind}s", 0)) for kind, rows in found.items())
        )
        parts: dict[str, list[Place]] = {}
        for kind, rows in found.items():
            for name, wanted_out in (("heldout", True), ("train", False)):
                able = [i for i, prompt in enumerate(rows.prompts) if (prompt in kept) == wanted_out]
                chosen, _ = split([rows.ids[i] for i in able], self.seed, self.wanted.get(f"{name}_{kind}s", 0), 0)
                parts[f"{name}_{kind}s"] = self._in_order([rows.places[able[i]] for i in chosen])
        first = next((name for name, places in parts.items() if places), "heldout_pairs")
        parts[first] = parts[first] + self._strange + [(*place, _WHOLE) for place in self._broken]
        return parts

    def _list(self, number: int, found: dict[str, _Rows]) -> None:
        """Adds the task's rows of a file, and notes what of it is broken."""
        try:
            file = self._open(number)
        except SourceError as error:
            self._broken[number, _WHOLE] = str(error)
            return
        with file:
            for group in range(file.num_row_groups):
                try:
                    self._list_group(file, (number, group), found)
                except (pa.ArrowException, OSError) as error:
                    self._broken[number, group] = _sentence(error)

    def _list_group(self, file: pq.ParquetFile, place: tuple[int, int], found: dict[str, _Rows]) -> None:
        at = 0
        for batch in file.iter_batches(LIGHT_ROWS, row_groups=[place[1]], columns=_IDS):
            tasks = _texts(batch["task"])
            own = [row for row, task in enumerate(tasks) if task == self.task or task not in TASKS]
            rows = batch.take(pa.array(own, pa.int64()))
            listed = zip(own, *(_texts(rows[name]) for name in ("preference_id", "kind", "prompt")), strict=True)
            for row, name, kind, prompt in listed:
                if tasks[row] != self.task or kind not in found:
                    self._strange.append((*place, at + row))
                    continue
                found[kind].ids.append(name)
                found[kind].prompts.append(held_out_key(prompt, self.seed))
                found[kind].places.append((*place, at + row))
            at += len(batch)

    def _in_order(self, places: list[Place]) -> list[Place]:
        """Shuffled rows, with those of one stretch of a row group brought together where the first of them is."""
        first: dict[Place, int] = {}
        for i, (number, group, row) in enumerate(places):
            first.setdefault((number, group, row // STRETCH), i)
        return sorted(places, key=lambda place: first[place[0], place[1], place[2] // STRETCH])

    def size(self, part: Part) -> int:
        return len(self._parts.get(part, []))

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        wanted = self._parts[part][start:stop]
        for (number, group, _), places in itertools.groupby(wanted, key=lambda p: (*p[:2], p[2] == _WHOLE)):
            yield from self._rows(number, group, [row for *_, row in places])

    def _rows(self, number: int, group: int, wanted: list[int]) -> Iterator[dict[str, Any] | Rejected]:
        """Rows of a row group, by number."""
        if wanted == [_WHOLE]:
            name = self.files[number] + (f", row group {group}" if group != _WHOLE else "")
            yield Rejected(name, "unreadable file", self._broken[number, group])
            return
        found: dict[int, dict[str, Any] | Rejected] = {}
        with self._open(number) as file:
            at, problem = 0, ""
            try:
                for batch in file.iter_batches(BATCH, row_groups=[group], columns=PREFERENCE.names):
                    own = sorted(row for row in wanted if at <= row < at + len(batch))
                    if own:
                        rows = pa.Table.from_batches([batch]).take([row - at for row in own]).select(PREFERENCE.names)
                        found |= zip(own, _of_schema(rows), strict=True)
                    at += len(batch)
                    if len(found) == len(wanted):
                        break
            except (pa.ArrowException, OSError) as error:
                problem = _sentence(error)
            for row in set(wanted) - found.keys():
                name = f"{self.files[number]}, row group {group}, row {row}"
                found[row] = Rejected(name, "unreadable row", problem)
        yield from (found.pop(row) for row in wanted)

    def _open(self, number: int) -> pq.ParquetFile:
        path = self.folder.root / self.files[number]
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None
        missing = [name for name in PREFERENCE.names if name not in file.schema_arrow.names]
        if missing:
            file.close()
            raise SourceError(f"{path} lacks the columns {', '.join(missing)}")
        try:
            need_values(file.schema_arrow, PREFERENCE.names, str(path))
        except SourceError:
            file.close()
            raise
        return file


def _texts(column: pa.Array) -> list[str]:
    """The texts of a column, empty where there is none; what is not UTF-8 is found when the row is read."""
    data = column.cast(pa.string()).cast(pa.binary()).to_pylist()
    return [(value or b"").decode(errors="replace") for value in data]


def _sentence(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _of_schema(rows: pa.Table) -> Iterator[dict[str, Any] | Rejected]:
    """The rows as values of the schema; one whose values cannot be turned into them costs itself alone."""
    try:
        yield from rows.cast(PREFERENCE).to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        if len(rows) > 1:
            for i in range(len(rows)):
                yield from _of_schema(rows.slice(i, 1))
        else:
            reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not of the schema"
            yield Rejected(_texts(rows["preference_id"].combine_chunks())[0], reason, _sentence(error))

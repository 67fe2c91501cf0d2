"""Native records of JSON, parquet and csv files, in parts that are read alone and in bounded memory.

A part (`Unit`) names a file and a place in it. Records come with the key "FILE:NUMBER", FILE relative to the data set's
folder, NUMBER the record's own, from 1: in files of an object a line the line, in csv files the header not counted.
A record that cannot be read comes as Rejected, as does a file among others that cannot; SourceError is for data sets of
which no file can be read.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from urm_ray.sources.check import need_values
from urm_ray.sources.draft import Encoded, File, MediaKind
from urm_ray.sources.fields import Record
from urm_ray.sources.folder import Folder
from urm_ray.sources.json_spans import Span, SpanError, find_records, line_spans, list_spans
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected, SourceError

MAX_BYTES = 64 << 20
"""A JSON record that is longer is not read."""
BATCH = 16
"""Rows of a parquet file that are held at a time; each may have pictures in it."""
_UNREADABLE = "unreadable"
"""Key of a unit that is a whole file which cannot be read: why."""
_HALF_A_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonRecords:
    """Objects of JSON files, whose form is told by their content (`json_spans`). A broken line costs that line; from
    where a list breaks, its rest is one Rejected.

    path: a folder, in which the files are those that match a pattern, or one file. inside: `json_spans.find_records`.
    """

    def __init__(
        self, path: str, patterns: str | Sequence[str] = ("**/*.json", "**/*.jsonl"), inside: str | None = None
    ) -> None:
        self.folder, self.inside = Folder(path), inside
        self.files = self.folder.files(patterns)

    def units(self, rows: int) -> Iterator[Unit]:
        """Parts of `rows` records, the last of a file of fewer."""
        return _of_each(self.files, partial(self._units, rows=rows))

    def _units(self, name: str, rows: int) -> Iterator[Unit]:
        with _opened(self.folder, name) as stream:
            try:
                form, begin = find_records(stream, self.inside)
            except SpanError as error:
                raise SourceError(f"{self.folder.root / name} cannot be read: {error}") from None
            unit: Unit = {"file": name, "form": form, "begin": begin, "end": begin, "number": 1}
            spans = list_spans(stream, begin, alone=self.inside is None) if form == "list" else None
            number = 0
            try:
                for number, (first, last) in enumerate(spans or line_spans(stream, begin), start=1):
                    if number >= unit["number"] + rows:
                        yield unit
                        unit = {"file": name, "form": form, "begin": first, "end": first, "number": number}
                    unit["end"] = last
            except SpanError as error:
                unit |= {"problem": str(error), "problem_at": number + 1}
            yield unit

    def read(self, unit: Unit) -> Iterator[tuple[str, Record | Rejected]]:
        if _UNREADABLE in unit:
            yield _unreadable(unit)
            return
        with _opened(self.folder, unit["file"]) as stream:
            spans = list_spans if unit["form"] == "list" else line_spans
            for number, span in enumerate(spans(stream, unit["begin"], unit["end"]), start=unit["number"]):
                key = f"{unit['file']}:{number}"
                record = _parsed(stream, span, key)
                if record is not None:
                    yield key, record
        if "problem" in unit:
            key = f"{unit['file']}:{unit['problem_at']}"
            yield key, Rejected(key, "the rest of the file is broken", unit["problem"])


def _parsed(stream: BinaryIO, span: Span, key: str) -> Record | Rejected | None:
    """The object of a span, or why there is none; None for a blank line."""
    begin, end = span
    if end - begin > MAX_BYTES:
        return Rejected(key, "record too long", f"{end - begin} bytes, {MAX_BYTES} at most")
    stream.seek(begin)
    data = stream.read(end - begin)
    if not data.strip():
        return None
    try:
        found = json.loads(data.decode("utf-8"))
        if _HALF_A_CHARACTER.search(data):  # JSON can escape what UTF-8 cannot say
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeError:
        return Rejected(key, "not UTF-8")
    except (ValueError, RecursionError) as error:
        return Rejected(key, "not JSON", str(error)[:200])
    return found if isinstance(found, dict) else Rejected(key, "not an object", repr(found)[:80])


class ParquetRecords:
    """Rows of parquet files. A part lies in one row group, since a row group is what can be read alone.

    columns: those that there must be; optional: those that are read where they are there. Others are not read.
    """

    def __init__(
        self,
        path: str,
        columns: Sequence[str],
        patterns: str | Sequence[str] = "**/*.parquet",
        optional: Sequence[str] = (),
    ) -> None:
        self.folder = Folder(path)
        self.columns, self.optional = list(columns), list(optional)
        self.files = self.folder.files(patterns)

    def units(self, rows: int) -> Iterator[Unit]:
        return _of_each(self.files, partial(self._units, rows=rows))

    def _units(self, name: str, rows: int) -> Iterator[Unit]:
        with _parquet(self.folder, name) as file:
            missing = [column for column in self.columns if column not in file.schema_arrow.names]
            if missing:
                raise SourceError(f"{self.folder.root / name} lacks the columns {', '.join(missing)}")
            need_values(file.schema_arrow, self._read_of(file), f"{self.folder.root / name}")
            number = 1
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                for start in range(0, size, rows):
                    stop = min(size, start + rows)
                    yield {"file": name, "group": group, "start": start, "stop": stop, "number": number + start}
                number += size

    def read(self, unit: Unit) -> Iterator[tuple[str, Record | Rejected]]:
        if _UNREADABLE in unit:
            yield _unreadable(unit)
            return
        number, at = unit["number"], 0
        with _parquet(self.folder, unit["file"]) as file:
            names = self._read_of(file)
            need_values(file.schema_arrow, names, f"{self.folder.root / unit['file']}")
            try:
                for batch in file.iter_batches(BATCH, row_groups=[unit["group"]], columns=names):
                    first, last = max(unit["start"] - at, 0), min(unit["stop"] - at, len(batch))
                    for row in batch.slice(first, last - first).to_pylist() if last > first else ():
                        yield f"{unit['file']}:{number}", row
                        number += 1
                    at += len(batch)
                    if at >= unit["stop"]:
                        return
            except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
                key = f"{unit['file']}:{number}"
                yield key, Rejected(key, "the rest of the row group is broken", str(error).splitlines()[0][:200])

    def _read_of(self, file: pq.ParquetFile) -> list[str]:
        return [*self.columns, *(name for name in self.optional if name in file.schema_arrow.names)]


class CsvRecords:
    """Rows of csv files under a header of names, as texts by name; a .tsv file has tabs between them."""

    def __init__(
        self, path: str, columns: Sequence[str] = (), patterns: str | Sequence[str] = ("**/*.csv", "**/*.tsv")
    ) -> None:
        self.folder, self.columns = Folder(path), list(columns)
        self.files = self.folder.files(patterns)

    def units(self, rows: int) -> Iterator[Unit]:
        return _of_each(self.files, partial(self._units, rows=rows))

    def _units(self, name: str, rows: int) -> Iterator[Unit]:
        with _opened(self.folder, name) as stream:
            header, begin = self.header(name, stream)
            missing = [column for column in self.columns if column not in header]
            if missing:
                raise SourceError(f"{self.folder.root / name} lacks the columns {', '.join(missing)}")
            lines, number = _Lines(stream, begin), 0
            unit: Unit = {"file": name, "begin": begin, "end": begin, "number": 1}
            for number, _ in enumerate(_rows(lines, name), start=1):
                if number >= unit["number"] + rows:
                    yield unit
                    unit = {"file": name, "begin": unit["end"], "number": number}
                unit["end"] = lines.place
            if number:
                yield unit

    def read(self, unit: Unit) -> Iterator[tuple[str, Record | Rejected]]:
        if _UNREADABLE in unit:
            yield _unreadable(unit)
            return
        with _opened(self.folder, unit["file"]) as stream:
            header, _ = self.header(unit["file"], stream)
            rows = _rows(_Lines(stream, unit["begin"], unit["end"]), unit["file"])
            for number, row in enumerate(rows, start=unit["number"]):
                key = f"{unit['file']}:{number}"
                if isinstance(row, str):
                    yield key, Rejected(key, "not csv", row)
                elif any("\udc80" <= sign <= "\udcff" for cell in row for sign in cell):
                    yield key, Rejected(key, "not UTF-8")
                elif len(row) != len(header):
                    yield key, Rejected(key, "wrong number of cells", f"{len(row)} under {len(header)} names")
                else:
                    yield key, dict(zip(header, row, strict=True))

    def header(self, name: str, stream: BinaryIO) -> tuple[list[str], int]:
        """The names of the columns, and the byte at which the rows begin; SourceError for no or repeated names."""
        lines = _Lines(stream, 0)
        header = next(_rows(lines, name), None)
        if not isinstance(header, list) or len(set(header)) < len(header) or not all(h.strip() for h in header):
            raise SourceError(f"{self.folder.root / name} does not begin with a line of different column names")
        header[0] = header[0].removeprefix("\ufeff")
        return [column.strip() for column in header], lines.place


class _Lines:
    """The lines of [begin, end) as text; `place` is the byte after the last one that was given."""

    def __init__(self, stream: BinaryIO, begin: int, end: int | None = None) -> None:
        self.stream, self.place, self.end = stream, begin, end
        stream.seek(begin)

    def __iter__(self) -> Iterator[str]:
        while (self.end is None or self.place < self.end) and (line := self.stream.readline(MAX_BYTES)):
            self.place += len(line)
            yield line.decode("utf-8", "surrogateescape")


def _rows(lines: _Lines, name: str) -> Iterator[list[str] | str]:
    """The rows that are not blank, and in place of one that is no csv the reason."""
    reader = csv.reader(iter(lines), delimiter="\t" if name.endswith(".tsv") else ",", strict=False)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield str(error)
            continue
        if row:
            yield row


def _of_each(files: Sequence[str], units: Callable[[str], Iterator[Unit]]) -> Iterator[Unit]:
    """The units of all files. A file that cannot be read is one unit, which says why; SourceError where none can be."""
    broken: dict[str, SourceError] = {}
    for name in files:
        try:
            yield from units(name)
        except SourceError as error:
            broken[name] = error
    if len(broken) == len(files):
        raise next(iter(broken.values()))
    for name, problem in broken.items():
        yield {"file": name, _UNREADABLE: str(problem)}


def _unreadable(unit: Unit) -> tuple[str, Rejected]:
    return unit["file"], Rejected(unit["file"], "unreadable file", unit[_UNREADABLE])


def encoded(value: Any, kind: MediaKind = "image") -> Encoded | File | None:
    """The picture or clip of a cell: bytes, a struct {bytes, path} as the hub's libraries write it, or a path."""
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path")
        value = data if data else path
    if isinstance(value, (bytes, bytearray)) and value:
        return Encoded(bytes(value), kind)
    return File(value, kind) if isinstance(value, str) and value.strip() else None


def _opened(folder: Folder, name: str) -> BinaryIO:
    file = folder.find(name)
    try:
        if file is not None:
            return file.open("rb")
    except OSError as error:
        raise SourceError(f"{folder.root / name} cannot be read: {error.strerror}") from None
    raise SourceError(f"{folder.root / name} lies outside of the data set's folder")


def _parquet(folder: Folder, name: str) -> pq.ParquetFile:
    stream = _opened(folder, name)
    try:
        return pq.ParquetFile(stream)
    except (pa.ArrowInvalid, OSError) as error:
        stream.close()
        raise SourceError(f"{folder.root / name} cannot be read as parquet: {str(error).splitlines()[0]}") from None

"""Pairs of HPDv2: hub name ymhao/HPDv2, unpacked: train.json, test.json and the folders train/ and test/ of pictures.

JSON lists. A record of train.json is a pair: `prompt`, `file_path` (two names; `image_path` in some copies) and
`human_preference`, 1 for the preferred one. A record of test.json ranks several pictures: `image_path` and `rank`, the
mean rank of several people, of which the lowest is the best (data set card; the HPSv2 code compares it with the place
in an order by falling score).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import PurePosixPath

from urm_ray.sources.draft import Draft, File, pair, preferred
from urm_ray.sources.fields import FieldError, Record, as_number, drafts_of, listed, text, texts
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import JsonRecords
from urm_ray.sources.registry import Rejected


class HPDv2:
    """Keeps every pair of train.json, and of each record of test.json every two of its pictures; equal ranks are a tie.

    Of a folder train.json is read; the test split, which others evaluate on, is read where `path` is that file. A name
    is one of the folder named like the file, unless it begins with that folder. Put aside: records whose names and
    preferences or ranks differ in number, and preferences that are not one 1 and one 0.
    """

    def __init__(self, path: str) -> None:
        self.records = JsonRecords(path, "**/train.json")

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _pairs)


def _pairs(key: str, record: Record) -> Iterator[Draft]:
    prompt = text(record, "prompt")
    names = texts(record, "file_path" if "file_path" in record else "image_path")
    by_rank = "human_preference" not in record
    column = "rank" if by_rank else "human_preference"
    marks = [as_number(mark, column) for mark in listed(record, column)]
    if len(names) < 2 or len(names) != len(marks):
        raise FieldError("names and labels differ in number", f"{len(names)} pictures, {len(marks)} of {column}")
    if not by_rank and sorted(marks) != [0, 1]:
        raise FieldError("unknown label", f"human_preference is {marks}")
    merits = [-mark for mark in marks] if by_rank else marks
    folder = PurePosixPath(key.rpartition(":")[0]).with_suffix("")
    files = [File(_inside(folder, name)) for name in names]
    for i, j in combinations(range(len(files)), 2):
        name = f"{key}:{i + 1}-{j + 1}" if by_rank else key
        label = preferred(merits[i], merits[j])
        yield pair("hpdv2", name, "image_generation", prompt, (files[i], files[j]), label)


def _inside(folder: PurePosixPath, name: str) -> str:
    """Where a named picture lies, relative to the data set's folder."""
    named = PurePosixPath(name)
    return str((folder.parent if named.parts[0] == folder.name else folder) / named)

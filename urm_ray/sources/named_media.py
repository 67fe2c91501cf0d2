"""Files that a prompt file or a csv of labels names: whether they are still those that they were.

Nothing of them is read, so that a hundred thousand are looked at in seconds.
"""

from __future__ import annotations

import csv
import json
import os
import posixpath
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from urm_ray import store
from urm_ray.file_systems import is_object, name_of, parent_of
from urm_ray.local_copies import local_copy
from urm_ray.sources.prompts import CANDIDATES, MEDIA
from urm_ray.sources.records import CsvRecords
from urm_ray.sources.registry import Rejected, SourceError

Seen = tuple[str, int, int]
"""Name, size, and when it changed, in ns; -1 and -1 where there is nothing."""
_COLUMN = re.compile("(image|video|candidate)(_[0-9]+)?")
_NOTHING = (-1, -1)
_ARCHIVES = ("*.zip*", "*/*.zip*")


def media_state(path: str, labels: bool = False, candidates: bool = True) -> list[Seen]:
    """What there is of the files that the .jsonl, .csv or .tsv at a place names inside its folder, by name.

    labels: it holds preferences, whose media may lie in archives: these count where a name is no file. candidates: are
    files, and not answers in words. Of a folder that is named, all that is right in it counts. Lines that cannot be
    read name nothing, and neither do files of another kind.
    """
    if not name_of(path).endswith((".jsonl", ".csv", ".tsv")) or not store.exists(path):
        return []
    here = local_copy(path)
    names = sorted(set(filter(None, map(_inside, _names(here, candidates)))))
    if is_object(path):
        return _seen_there(parent_of(path), names, labels)
    return _seen(os.path.dirname(here) or ".", names, labels)


def _names(path: str, candidates: bool) -> Iterator[str]:
    if os.path.isdir(path):
        return
    if not path.endswith(".jsonl"):
        yield from _cells(path, candidates)
        return
    with open(path, "rb") as lines:
        for line in lines:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            for key in (*MEDIA, *([CANDIDATES] if candidates else [])):
                listed = value.get(key) if isinstance(value, dict) else None
                yield from (name for name in listed or () if isinstance(name, str)) if isinstance(listed, list) else ()


def _cells(path: str, candidates: bool) -> Iterator[str]:
    try:
        records = CsvRecords(path)
        for unit in records.units(sys.maxsize):
            for _, record in records.read(unit):
                if not isinstance(record, Rejected):
                    named = ((_COLUMN.fullmatch(name), cell) for name, cell in record.items())
                    yield from (cell for one, cell in named if one and (candidates or one[1] != "candidate"))
    except (SourceError, csv.Error):
        return


def _inside(name: str) -> str | None:
    """The name of a file below the folder, in one spelling; None of what leads out of it, or is no name of a file."""
    name = name.strip()
    if not name or "\0" in name or "\n" in name or "://" in name or name.startswith("/"):
        return None
    try:
        name.encode()
    except UnicodeError:
        return None
    plain = posixpath.normpath(name)
    return None if plain in (".", "..") or plain.startswith("../") else plain


def _seen(folder: str, names: Sequence[str], archives: bool) -> list[Seen]:
    found: list[Seen] = []
    for name in names:
        found += _state(os.path.join(folder, name), name)
    if archives and any(one[1:] == _NOTHING for one in found):
        for place in sorted({place for pattern in _ARCHIVES for place in Path(folder).glob(pattern)}):
            found += _state(str(place), place.relative_to(folder).as_posix())
    return found


def _state(place: str, name: str) -> list[Seen]:
    """What there is at a place, and, where that is a folder, of what is in it."""
    try:
        there = os.stat(place)
        inner = sorted(os.scandir(place), key=lambda one: one.name) if stat.S_ISDIR(there.st_mode) else []
        states = [(f"{name}/{one.name}", one.stat()) for one in inner]
    except (OSError, ValueError):  # it is missing, or its name is too long for one: an answer, for instance
        return [(name, *_NOTHING)]
    return [(name, seen.st_size, seen.st_mtime_ns) for name, seen in [(name, there), *states]]


def _seen_there(prefix: str, names: Sequence[str], archives: bool) -> list[Seen]:
    """The same below a prefix of an object store, from one listing."""
    if not names:
        return []
    wanted, files = set(names), store.tree(prefix)
    there = {file.name for file in files} | {str(p) for file in files for p in PurePosixPath(file.name).parents}
    missing = [(name, *_NOTHING) for name in names if name not in there]
    named = [
        (file.name, file.size, file.changed)
        for file in files
        if not wanted.isdisjoint([file.name, *map(str, PurePosixPath(file.name).parents)])
        or (archives and missing and _is_archive(file.name))
    ]
    return [*named, *missing]


def _is_archive(name: str) -> bool:
    """As the patterns of archives find it, which look no deeper than a folder."""
    return name.count("/") <= 1 and ".zip" in name.rpartition("/")[2]

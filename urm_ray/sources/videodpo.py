"""Pairs of VideoDPO: the data set of arXiv 2412.14167 as it is published, and the form that its fork trains on.

Published: metadata.json, a list of clips {basic: {clip_path, clip_duration}, misc: {frame_caption}}, and pair.json, a
list of {video1, video2, frame_caption: [CAPTION, ...]}. Both videos are numbers of clips in metadata.json, from 0, and
video1 is the better (the data set's own code: data/video_data.py). `score` weights a pair and is not looked at.
Fork: dpo_data.json, a list of {caption, chosen, rejected} with paths of clips (UnifiedReward's README).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from urm_ray.sources.draft import Draft, File, pair
from urm_ray.sources.fields import FieldError, Record, drafts_of, integer, mapping, number, text, value
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import JsonRecords
from urm_ray.sources.registry import Rejected

MIN_SECONDS = 1.0
"""Shorter clips are left out, as by the data set's own code. There they are taken out of the list first, which shifts
every number after them; here a number is always that of the list as published."""
_PAIRS, _CLIPS, _FORK = "pair.json", "metadata.json", "dpo_data.json"


class VideoDPO:
    """Keeps every pair of two different clips of at least a second; the better one comes first.

    `path` is a folder with one or several pair.json, each with its metadata.json beside it, or with dpo_data.json, or
    one of these files. Put aside: numbers that metadata.json has no clip for, clips that are too short or have no path,
    and clips paired with themselves.
    """

    def __init__(self, path: str) -> None:
        self.records = JsonRecords(path, [f"**/{_PAIRS}", f"**/{_FORK}"])

    def units(self, rows: int) -> Iterator[Unit]:
        """Parts of the pairs, with path and length of the clips that they name. Planning holds one metadata.json's."""
        clips: dict[str, list[Any]] = {}
        read = ""
        for unit in self.records.units(rows):
            folder, name = posixpath.split(unit["file"])
            if name == _FORK:
                yield unit
                continue
            if read != unit["file"]:
                clips, read = self._clips(folder), unit["file"]
            named = {str(n) for _, record in self.records.read(unit) for n in _numbers(record)}
            yield unit | {"clips": {n: clips[n] for n in sorted(named) if n in clips}}

    def _clips(self, folder: str) -> dict[str, list[Any]]:
        """[path, seconds] by number; in place of a clip that cannot be used [None, why]."""
        records = JsonRecords(str(self.records.folder.root / folder / _CLIPS))
        clips: dict[str, list[Any]] = {}
        for unit in records.units(1 << 20):
            for key, record in records.read(unit):
                n = int(key.rpartition(":")[2]) - 1
                try:
                    if isinstance(record, Rejected):
                        raise FieldError(record.reason)
                    basic = mapping(record, "basic")
                    path = posixpath.join(folder, text(basic, "clip_path"))
                    clips[str(n)] = [path, number(basic, "clip_duration")]
                except FieldError as error:
                    clips[str(n)] = [None, str(error)]
        return clips

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        clips = unit.get("clips")
        if clips is None:
            return drafts_of(self.records.read(unit), _of_paths)
        return drafts_of(self.records.read(unit), lambda key, record: _of_numbers(key, record, clips))


def _numbers(record: Record | Rejected) -> list[int]:
    try:
        return [] if isinstance(record, Rejected) else [integer(record, "video1"), integer(record, "video2")]
    except FieldError:
        return []


def _of_numbers(key: str, record: Record, clips: dict[str, list[Any]]) -> Iterator[Draft]:
    files = []
    for name in ("video1", "video2"):
        n = integer(record, name)
        path, length = clips.get(str(n), [None, None])
        if length is None:
            raise FieldError("no clip of this number", f"{name} is {n}")
        if path is None:
            raise FieldError("no path or length of a clip", f"{name} is {n}: {length}")
        if length < MIN_SECONDS:
            raise FieldError("clip shorter than a second", f"{path}: {length:g} s")
        files.append(path)
    captions = value(record, "frame_caption")
    caption = {"frame_caption": captions[0] if isinstance(captions, list) and captions else captions}
    yield from _of_clips(key, text(caption, "frame_caption"), files[0], files[1])


def _of_paths(key: str, record: Record) -> Iterator[Draft]:
    folder = posixpath.dirname(key)
    chosen, rejected = (posixpath.join(folder, text(record, name)) for name in ("chosen", "rejected"))
    yield from _of_clips(key, text(record, "caption"), chosen, rejected)


def _of_clips(key: str, caption: str, better: str, worse: str) -> Iterator[Draft]:
    if better == worse:
        raise FieldError("the same clip twice", better)
    clips = File(better, "video"), File(worse, "video")
    yield pair("videodpo", key, "video_generation", caption, clips, "first")

"""Pairs and points of ShareGPTVideo-DPO: hub name ShareGPTVideo/train_video_and_instruction, sft_dpo_17k.jsonl.

An object a line: {id, video, prompt, chosen, rejected, chosen_score, rejected_score}; `video` names a folder of frames
(train_300k, unpacked) or a file, the prompt may hold <video>, and an answer is a text or {from, value} (arXiv
2404.01258; public readers of the file). The scores are 1 to 5 (paper, section III-B). The data set's own code takes
frames at 2 a second (decode2frame), in files whose names sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from urm_ray.config_training import Task
from urm_ray.judge.scale import SCALES
from urm_ray.sources.draft import Draft, File, Frames, pair, point
from urm_ray.sources.fields import FieldError, Record, drafts_of, number, text, value
from urm_ray.sources.folder import Folder
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import JsonRecords
from urm_ray.sources.registry import Rejected
from urm_ray.sources.turns import without_places

FPS = 2.0
_TASK: Task = "video_understanding"
_ENDINGS = (".mp4", ".webm", ".mkv", ".mov", ".avi")
_PLACES = tuple(PurePosixPath(place) for place in ("", "train_300k", "dpo_train_data", "videos"))
"""Folders in which clips are looked for, relative to the data set's. The second and the third are how archives of the
frames that are around unpack."""


class ShareGPTVideoDPO:
    """A pair of every record, chosen first, and a point of each of its answers on the scale 1-5.

    Put aside: records without question, clip or answers; pairs of one answer twice, or whose scores do not say the same
    as the choice; a score that is missing or no number costs its point and no more. The paper holds 1,000 of the
    17,000 pairs out and does not say which; all are read.
    """

    def __init__(self, path: str) -> None:
        self.records = JsonRecords(path, ["**/sft_dpo_17k*.jsonl", "**/sft_dpo_17k*.json"])

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), self._drafts)

    def _drafts(self, key: str, record: Record) -> Iterator[Draft | Rejected]:
        question, clip = _question(record), _clip(self.records.folder, text(record, "video"))
        answers = {side: _answer(record, side) for side in ("chosen", "rejected")}
        scores: dict[str, float] = {}
        problems = []
        for side in answers:
            try:
                scores[side] = number(record, f"{side}_score")
            except FieldError as error:
                problems.append(Rejected(f"{key}:{side}", error.reason, error.detail))
        if answers["chosen"] == answers["rejected"]:
            yield Rejected(key, "the same answer twice")
        elif len(scores) == 2 and scores["chosen"] <= scores["rejected"]:
            detail = f"chosen at {scores['chosen']:g}, rejected at {scores['rejected']:g}"
            yield Rejected(key, "scores contradict the choice", detail)
        else:
            both = answers["chosen"], answers["rejected"]
            yield pair("sharegptvideo-dpo", key, _TASK, question, both, "first", [clip])
        yield from problems
        for side, score in scores.items():
            scale, name = SCALES["1-5"].row(), f"{key}:{side}"
            yield point("sharegptvideo-dpo", name, _TASK, question, answers[side], score, scale, [clip])


def _question(record: Record) -> str:
    turns = record.get("conversations")
    if record.get("prompt") is None and isinstance(turns, list) and turns and isinstance(turns[0], dict):
        return without_places(text(turns[0], "value"))
    return without_places(text(record, "prompt"))


def _answer(record: Record, side: str) -> str:
    found: Any = value(record, side)
    return text({side: found.get("value")} if isinstance(found, dict) else record, side)


def _clip(folder: Folder, name: str) -> File | Frames:
    """The clip of a name: a folder of frames, or a file, whose ending may be missing in the name. What is not among the
    loose files is a folder of frames in an archive that is there, or is found missing where media are read."""
    named = PurePosixPath(name.replace("\\", "/").lstrip("/"))
    for place in _PLACES:
        path = place / named
        found = folder.find(str(path))
        if found is not None and found.is_dir():
            return Frames((str(path),), FPS)
        for ending in ("", *_ENDINGS):
            file = folder.find(f"{path}{ending}")
            if file is not None and file.is_file():
                return File(f"{path}{ending}", "video")
    if named.suffix.lower() in _ENDINGS:
        return File(str(named), "video")
    packed = [place for place in _PLACES[1:] if (file := folder.find(f"{place}.zip")) and file.is_file()]
    return Frames((str((packed or _PLACES)[0] / named),), FPS)

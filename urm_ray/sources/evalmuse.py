"""Pairs and points of EvalMuse-40K: hub name DY-Evalab/EvalMuse, train_list.json and images.zip.part-aa and so on.

A JSON list, a record a picture: `prompt`, `img_path` (inside images/), `total_score`, a list with the score of every
annotator from 1 to 5, and `element_score`, for each element of the prompt with its type a list of 0 and 1 (the data
set's own code: process/process_train.py; arXiv 2412.18150). Its train.json and test.json hold the means in their place.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from statistics import fmean
from typing import Any, NamedTuple

from urm_ray.judge.scale import SCALES
from urm_ray.sources.draft import Draft, File, pair, point
from urm_ray.sources.fields import FieldError, Record, as_number, drafts_of, mapping, text, value
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import JsonRecords
from urm_ray.sources.registry import Rejected

_SCALE = SCALES["1-5"]


class _Scored(NamedTuple):
    """A picture of a prompt, as planning holds it."""

    key: str
    path: str
    score: float


class EvalMuse:
    """A point of every picture, and a pair of every prompt (paper, section III-B).

    point: the mean of the annotators' scores, which is fractional, on the scale 1-5. The marks of the elements are its
    rationale, a line "element (type): 0 or 1" each; 1 where at least half of the annotators saw the element, which for
    three or four of them is the paper's "at least two" and the threshold of the data set's own evaluation.
    pair: the picture of the best mean, which comes first and is preferred, against that of the worst, each the first
    of its score in the file. A prompt with one picture or with equal means gives no pair, and is counted.
    `promt_meaningless` and the confidences are not looked at, as the paper names no such filter.

    Of a folder train_list.json is read; train.json or test.json where `path` is that file.
    """

    def __init__(self, path: str) -> None:
        self.records = JsonRecords(path, "**/train_list.json")

    def units(self, rows: int) -> Iterator[Unit]:
        """Parts of the file, each for its points, and then prompts, each for its pair: planning parses the file and
        holds the best and the worst picture of every prompt, by name."""
        prompts: dict[str, tuple[_Scored, _Scored, int]] = {}
        for unit in self.records.units(rows):
            yield unit
            for key, record in self.records.read(unit):
                _note(prompts, key, record)
        groups = [
            {"prompt": prompt, "best": list(best), "worst": list(worst), "pictures": pictures}
            for prompt, (best, worst, pictures) in prompts.items()
        ]
        for start in range(0, len(groups), rows):
            yield {"prompts": groups[start : start + rows]}

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        if "prompts" in unit:
            return (_pair(**group) for group in unit["prompts"])
        return drafts_of(self.records.read(unit), _point)


def _note(prompts: dict[str, tuple[_Scored, _Scored, int]], key: str, record: Record | Rejected) -> None:
    """Counts a picture in for its prompt; one that gives no point gives no pair either, and is Rejected with that."""
    try:
        if isinstance(record, Rejected):
            return
        prompt, found = text(record, "prompt"), _scored(key, record)
        _marks(record)
    except FieldError:
        return
    if not _SCALE.minimum <= found.score <= _SCALE.maximum:
        return
    best, worst, pictures = prompts.get(prompt, (found, found, 0))
    if found.score > best.score:
        best = found
    if found.score < worst.score:
        worst = found
    prompts[prompt] = best, worst, pictures + 1


def _pair(prompt: str, best: list[Any], worst: list[Any], pictures: int) -> Draft | Rejected:
    first, second = _Scored(*best), _Scored(*worst)
    if pictures < 2:
        return Rejected(first.key, "one picture of the prompt")
    if first.score == second.score:
        return Rejected(first.key, "pictures of equal score", f"{pictures} at {first.score:g}")
    key = f"{first.key}-{second.key.rpartition(':')[2]}"
    return pair("evalmuse", key, "image_generation", prompt, (File(first.path), File(second.path)), "first")


def _point(key: str, record: Record) -> Iterator[Draft]:
    prompt, found = text(record, "prompt"), _scored(key, record)
    rationale = "\n".join(f"{element}: {mark}" for element, mark in _marks(record).items())
    picture, scale = File(found.path), _SCALE.row()
    yield point("evalmuse", key, "image_generation", prompt, picture, found.score, scale, rationale=rationale or None)


def _scored(key: str, record: Record) -> _Scored:
    path = posixpath.join(posixpath.dirname(key), "images", text(record, "img_path"))
    return _Scored(key, path, _mean(value(record, "total_score"), "total_score"))


def _marks(record: Record) -> dict[str, int]:
    """Of each element, whether the picture shows it: where at least two annotators say so (paper II-B), or, where only
    their mean is known, at least half of them."""
    if record.get("element_score") is None:
        return {}
    marks = mapping(record, "element_score")
    means = {element.strip(): _mean(found, "an element's mark") for element, found in marks.items()}
    if wrong := [element for element, mean in means.items() if not 0 <= mean <= 1]:
        raise FieldError("an element's mark is not from 0 to 1", wrong[0][:80])
    return {
        element.strip(): int(sum(map(float, found)) >= 2 if isinstance(found, list) else means[element.strip()] >= 0.5)
        for element, found in marks.items()
    }


def _mean(found: Any, name: str) -> float:
    """Of the annotators' numbers, or the mean that stands in their place."""
    if not isinstance(found, list):
        return as_number(found, name)
    if not found:
        raise FieldError(f"{name} is of no annotator")
    return fmean(as_number(number, name) for number in found)

"""MMRB2, Multimodal RewardBench 2: which of two answers is better, in four tasks of 1,000 pairs (arXiv 2512.16899).

t2i.json, edit.json, interleaved.json and reasoning.json as the benchmark's own script builds them, {"pairs": [...]}
each, with the pictures beside them; or the parquet files of rl-research/multimodal-rewardbench-2, a folder a task.
Prompts and answers are lists of texts and pictures in their order; in parquet a text with places <image_1>, <image_2>,
... and a list of pictures. `chosen` is A or B.

Two answers of one picture each are asked about as generated pictures, two of words alone as answers; all others as
answers whose words and pictures are shown in their order (`urm_ray.reward_benchmarks.interleaved`). Pictures of a
prompt are shown before its words, which say "[picture 1]" where the first of several was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar

from urm_ray.config_training import Task
from urm_ray.evaluation.accuracy import counted, of_answered, over_orders, pair_figures
from urm_ray.evaluation.calls import Row
from urm_ray.evaluation.groups import check_figures
from urm_ray.reward_benchmarks.comparison import (
    Benchmark,
    Candidate,
    Comparison,
    Interleaved,
    Label,
    Measuring,
    overall,
)
from urm_ray.reward_benchmarks.layouts import beside, open_records
from urm_ray.sources.draft import File, Media
from urm_ray.sources.fields import FieldError, Record, drafts_of, listed, mapping, text
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import encoded
from urm_ray.sources.registry import Rejected

TASKS = {"t2i": "Text to image", "edit": "Editing", "interleaved": "Interleaved", "reasoning": "Reasoning"}
_COLUMNS = ["pair_id", "prompt_text", "prompt_images", "chosen"]
_ANSWERS = [f"response_{side}_{part}" for side in "ab" for part in ("text", "images")]
_PLACE = re.compile(r"<image_\d+>")
_CHOSEN: dict[str, Label] = {"A": "first", "B": "second"}

Parts = tuple[Media | str, ...]


class MMRB2(Benchmark):
    title = "MMRB2"
    hub = "rl-research/multimodal-rewardbench-2"
    sizes: ClassVar[Mapping[str, int]] = dict.fromkeys(TASKS, 1000)

    def __init__(self, path: str) -> None:
        parquet = [pattern for task in TASKS for pattern in (f"**/{task}/*.parquet", f"**/{task}-*.parquet")]
        json = [f"**/{task}.json" for task in TASKS]
        self.records = open_records(path, [*_COLUMNS, *_ANSWERS], parquet, json, ["prompt_source"], "pairs")

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def items(self, unit: Unit) -> Iterator[Comparison | Rejected]:
        return drafts_of(self.records.read(unit), _item)

    @classmethod
    def measure(cls, rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
        """Accuracy of each task and overall, each order a judgement. Unanswered ones are wrong; `of_answered` leaves
        them out, as the official code does (compute_accuracy.py)."""
        parts = {task: [row for row in rows if row["group"].partition("/")[0] == task] for task in TASKS}
        groups = {task: counted(own, over_orders, how.seed, how.resamples) for task, own in parts.items()}
        figures = pair_figures(rows, how.seed, how.resamples)
        check_figures(groups, figures["tau"])
        official = counted(rows, of_answered, how.seed, how.resamples)
        columns = {TASKS[task]: found for task, found in groups.items()} | {"Overall": figures["tau"]}
        return {"columns": columns | {"Overall, of answered": official}, "figures": figures | {"of_answered": official}}


def _item(key: str, record: Record) -> Iterator[Comparison]:
    name = text(record, "id" if "id" in record else "pair_id")
    chosen = text(record, "chosen").upper()
    if chosen not in _CHOSEN:
        raise FieldError("chosen is not A or B", chosen[:40])
    prompt, answers = _prompt(key, record), tuple(_answer(key, record, side) for side in "ab")
    about = tuple(part for part in prompt if not isinstance(part, str))
    task, candidates = _asked_as(answers)
    source = record.get("prompt_source")
    yield Comparison(
        item_id=name,
        task=task,
        prompt=_words(prompt, many=len(about) > 1),
        candidates=(candidates[0], candidates[1]),
        labels=overall(_CHOSEN[chosen]),
        context=about,
        group=f"{_task_of(key)}/{source}" if source else _task_of(key),
    )


def _task_of(key: str) -> str:
    """The task by the file's name, t2i.json, or by its folder, t2i/test-00000-of-00001.parquet."""
    path = PurePosixPath(key.rpartition(":")[0])
    for name in (*reversed(path.parts[:-1]), path.name.partition(".")[0].partition("-")[0]):
        if name in TASKS:
            return name
    raise FieldError("unknown task", str(path)[:80])


def _prompt(key: str, record: Record) -> Parts:
    if "prompt_text" in record:
        return _placed(record, "prompt")
    return _content(key, record, "prompt_content")


def _answer(key: str, record: Record, side: str) -> Parts:
    if "prompt_text" in record:
        return _placed(record, f"response_{side}")
    return _content(key, mapping(record, f"response_{side}"), "response_content")


def _content(key: str, record: Record, name: str) -> Parts:
    """Parts as [kind, value] pairs."""
    found: list[Media | str] = []
    for part in listed(record, name):
        kind, value = part if isinstance(part, list) and len(part) == 2 else (None, None)
        if kind not in ("text", "image") or not isinstance(value, str):
            raise FieldError(f"{name} is not of texts and images", repr(part)[:80])
        if value.strip():
            found.append(value.strip() if kind == "text" else beside(key, File(value)))
    if not found:
        raise FieldError(f"empty {name}")
    return tuple(found)


def _placed(record: Record, name: str) -> Parts:
    """Parts of a text with places and a list of pictures, which stand at the end where there are no places."""
    words = record.get(f"{name}_text") or ""
    pictures = [encoded(cell) for cell in record.get(f"{name}_images") or []]
    pieces = [piece.strip() for piece in _PLACE.split(words)]
    places = len(pieces) - 1 or len(pictures)
    if None in pictures or places != len(pictures):
        raise FieldError(f"{name} has other places than pictures", f"{places} and {len(pictures)}")
    pieces += [""] * (places + 1 - len(pieces))
    parts = [part for i, piece in enumerate(pieces) for part in (piece, pictures[i] if i < places else "")]
    found = tuple(part for part in parts if part)
    if not found:
        raise FieldError(f"empty {name}")
    return found


def _words(parts: Parts, many: bool) -> str:
    """The words of a prompt, with a mark where each of several pictures was."""
    number, found = 0, []
    for part in parts:
        number += not isinstance(part, str)
        found += [part] if isinstance(part, str) else [f"[picture {number}]"] * many
    if not any(isinstance(part, str) for part in parts):
        raise FieldError("prompt without words")
    return "\n".join(found)


def _asked_as(answers: Sequence[Parts]) -> tuple[Task, list[Candidate]]:
    if all(len(parts) == 1 and not isinstance(parts[0], str) for parts in answers):
        return "image_generation", [parts[0] for parts in answers]
    if all(isinstance(part, str) for parts in answers for part in parts):
        return "image_understanding", ["\n".join(map(str, parts)) for parts in answers]
    return "image_understanding", [Interleaved(parts) for parts in answers]

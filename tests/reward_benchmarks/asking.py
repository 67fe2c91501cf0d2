"""A judge that knows what is better in the small benchmarks, and how items are put to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sources.native import SHADES

from urm_ray.clips import Clip
from urm_ray.judge.engine import Question, Reading
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.reward_benchmarks.ask import AskBenchmark
from urm_ray.reward_benchmarks.registry import benchmark
from urm_ray.sources.media_folder import MediaFolder

WORD_ORDER = {"good": 2, "fair": 1, "bad": 0}


def shade(seen: Any) -> int:
    """The number of a grey that is shown."""
    picture = seen.frames[0] if isinstance(seen, Clip) else seen
    return round(
        float(np.asarray(picture.convert("L") if isinstance(picture, Image.Image) else picture).mean()) / SHADES
    )


def worth(question: Question) -> list[float]:
    """How good the two candidates of a question are: answers by their word, pictures by their darkness."""
    words = [part["text"] for part in question.messages[0]["content"] if part["type"] == "text"]
    said = [WORD_ORDER[w] for text in words if " answer" in text for w in WORD_ORDER if f"a {w} answer" in text]
    return [float(s) for s in said] if len(said) == 2 else [-float(shade(seen)) for seen in question.media[-2:]]


class Engine:
    """Prefers the better word or the darker picture; a score is 5 for shade 5, 4 for 6 and so on. `asked` is kept."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        self.asked += questions
        return [self._read(question) for question in questions]

    def _read(self, question: Question) -> Reading:
        if len(question.answers) != 3:
            scores = range(1, len(question.answers) + 1)
            return Reading([float(value == 10 - shade(question.media[-1])) for value in scores], 1.0)
        one, two = worth(question)
        winner = 2 if one == two else int(two > one)
        return Reading([0.8 if i == winner else 0.1 for i in range(3)], 1.0)

    def write(self, questions: Sequence[Question], max_new_tokens: int) -> list[Any]:
        raise NotImplementedError


def ask_all(
    name: str, path: Path, rows: int = 3, dimensions: Mapping[str, Sequence[str]] | None = None
) -> tuple[list[dict[str, Any]], list[tuple[str, str]], Engine]:
    """(predictions, what was put aside and why, the judge), read as a job does: planned once, then each part by a
    reader of its own."""
    kind, engine = benchmark(name), Engine()
    scorer = JudgeScorer(engine, protocol("unified"), 0.1)
    ask = AskBenchmark(scorer, MediaFolder(str(path)), kind.places, dimensions)
    found: list[dict[str, Any]] = []
    aside: list[tuple[str, str]] = []
    for unit in kind(str(path)).units(rows):
        predictions, rejected = ask(kind(str(path)).items(json.loads(json.dumps(unit))))
        found += predictions
        aside += [(one.row_id, one.reason) for one in rejected]
    return found, aside, engine


def label(row):
    return {one["dimension"]: one["label"] for one in row["labels"]}


def words_of(question):
    return "".join(part.get("text", "") for part in question.messages[0]["content"])


def agrees(row):
    """Whether both verdicts of the judge are for the candidate that people prefer."""
    better = ("first", "second").index(label(row)["overall"])
    return all(v["outcome"] == ("first" if v["first"] == better else "second") for v in row["pair_verdicts"])

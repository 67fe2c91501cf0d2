"""Small builders of records that many tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from urm_ray import schema
from urm_ray.clips import encode_clip
from urm_ray.config_training import Task
from urm_ray.judge.engine import Question, Reading, Written
from urm_ray.media import encode_image, image_record

ROOT = Path(__file__).resolve().parents[1]
TASK: Task = "image_generation"
SCALE = {"name": "1-5", "minimum": 1, "maximum": 5}
NOT_A_PICTURE = image_record(b"<html>404 not found</html>", 8, 8)


def of_policy(**sections: Any) -> dict[str, Any]:
    """Settings of the policy of TASK, as a configuration holds them."""
    return {"policies": {TASK: sections}}


def picture(shade: int = 0) -> Image.Image:
    return Image.new("RGB", (8, 8), (shade, 255 - shade, 40))


def shade_of(image: Image.Image) -> int:
    """Which `picture` this is."""
    pixel = image.convert("RGB").getpixel((3, 3))
    assert isinstance(pixel, tuple)
    return int(pixel[0])


def candidate(index: int, **changes: Any) -> dict[str, Any]:
    """A `schema.CANDIDATE` value; its picture's shade is its index."""
    return {
        "index": index,
        "seed": 100 + index,
        "media": encode_image(picture(index)),
        "text": None,
        "error": None,
    } | changes


def prompt_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A `schema.PROMPT` row."""
    return {
        "prompt_id": f"p{number}",
        "task": "image_generation",
        "prompt": f"prompt {number}",
        "context": [],
        "source": "test",
    } | changes


def candidate_set(count: int, **changes: Any) -> dict[str, Any]:
    """A `schema.CANDIDATE_SET` row."""
    return prompt_row() | {"candidates": [candidate(i) for i in range(count)], "sampler_digest": "sampler"} | changes


def pair_preference(number: int = 0, label: str = "first", **changes: Any) -> dict[str, Any]:
    """A `schema.PREFERENCE` row of kind pair, with pictures in shades 10 and 20."""
    return {
        "preference_id": f"pair{number}",
        "task": "image_generation",
        "kind": "pair",
        "prompt": "a red circle",
        "context": [],
        "candidates": [{"media": encode_image(picture(shade)), "text": None} for shade in (10, 20)],
        "label": label,
        "score": None,
        "scale": None,
        "dimension": None,
        "rationale": None,
        "source": "test",
    } | changes


def point_preference(number: int = 0, score: float = 3.0, **changes: Any) -> dict[str, Any]:
    """A `schema.PREFERENCE` row of kind point, with a picture in shade 10."""
    return (
        pair_preference(number)
        | {
            "preference_id": f"point{number}",
            "kind": "point",
            "label": None,
            "score": score,
            "scale": SCALE,
            "candidates": [{"media": encode_image(picture(10)), "text": None}],
        }
        | changes
    )


def clip(shades: Sequence[int], fps: float = 2.0) -> dict[str, Any]:
    """A `schema.MEDIA` value of a clip, whose frames are `picture`s."""
    return encode_clip([picture(shade) for shade in shades], fps)


def answer_pair(number: int = 0, **changes: Any) -> dict[str, Any]:
    """The columns of a preference pair of answers about one picture, whose shade is the number."""
    return {
        "pair_id": f"pair{number}",
        "prompt": "what is left of the circle?",
        "context": [encode_image(picture(number))],
        "chosen": candidate(0, media=None, text="a red square"),
        "rejected": candidate(1, media=None, text="a green triangle and a cat"),
    } | changes


def answer_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows of `answer_pair` as a table."""
    columns = [schema.SIFTED_SET.field(name) for name in ("pair_id", "prompt", "context", "chosen", "rejected")]
    return schema.table_of(list(rows), pa.schema(columns))


def answer_set(texts: Sequence[str | None], **changes: Any) -> dict[str, Any]:
    """A `schema.CANDIDATE_SET` row of a question about a picture in shade 50; a text that is None was never written."""
    answers = [
        candidate(i, media=None, text=text, error="the answer is empty" if text is None else None)
        for i, text in enumerate(texts)
    ]
    about = {"task": "image_understanding", "context": [encode_image(picture(50))], "candidates": answers}
    return candidate_set(0) | about | changes


def as_answers(preference: dict[str, Any], *texts: str, **changes: Any) -> dict[str, Any]:
    """A `schema.PREFERENCE` row turned into one about answers to a question about a picture in shade 50."""
    return (
        preference
        | {
            "task": "image_understanding",
            "context": [encode_image(picture(50))],
            "candidates": [{"media": None, "text": text} for text in texts],
        }
        | changes
    )


def pair_verdict(first: int, second: int, outcome: str) -> dict[str, Any]:
    """A `schema.PAIR_VERDICT` value."""
    return {
        "first": first,
        "second": second,
        "outcome": outcome,
        "p_first": None,
        "p_second": None,
        "p_tie": None,
        "text": None,
        "reason": None,
        "dimensions": None,
    }


def point_verdict(index: int, score: float | None, outcome: str = "score") -> dict[str, Any]:
    """A `schema.POINT_VERDICT` value."""
    empty = dict.fromkeys(("probabilities", "text", "reason", "dimensions"))
    return {"index": index, "outcome": outcome, "score": score} | empty


class FakeEngine:
    """An engine whose readings are what a function says of a question; it keeps what it was asked."""

    def __init__(self, answer: Callable[[Question], Reading]) -> None:
        self.answer = answer
        self.asked: list[Question] = []

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        self.asked += questions
        return [self.answer(question) for question in questions]


class FakeWriter:
    """An engine that answers with what a function says of a question; it keeps what it was asked."""

    def __init__(self, answer: Callable[[Question], str | Written]) -> None:
        self.answer = answer
        self.asked: list[Question] = []

    def write(self, questions: Sequence[Question], max_new_tokens: int) -> list[Written]:
        self.asked += questions
        said = [self.answer(question) for question in questions]
        return [Written(one) if isinstance(one, str) else one for one in said]


def prefer_darker(question: Question) -> Reading:
    """A judge without position bias: of two pictures the lower shade is better, a score is 5 - shade, at least 1."""
    shades = [shade_of(image) for image in question.media]
    if len(shades) == 2:
        winner = 2 if shades[0] == shades[1] else int(shades[1] < shades[0])
        return Reading([0.8 if i == winner else 0.1 for i in range(3)], 1.0)
    return Reading([float(value == max(1, 5 - shades[0])) for value in range(1, 6)], 1.0)


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system with nothing on it; it takes rights that not everybody has."""
    folder.mkdir()
    size = f"size={mebibytes}m"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run_python(*arguments: str, timeout: float = 110, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, in the repository's root."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )

"""Preferences and files of them that are not what they should be; see `poison.cases`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from clip_files import shades
from helpers import NOT_A_PICTURE, SCALE, as_answers, pair_preference, picture, point_preference
from poison.cases import Case

from urm_ray import schema
from urm_ray.clips import encode_clip
from urm_ray.media import encode_image

SHOWN = pair_preference()["candidates"][0]
NAME = "poison"


def pair(**changes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: pair_preference(preference_id=NAME) | changes


def point(**changes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: point_preference(preference_id=NAME) | changes


def answers(*texts: str, **changes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: as_answers(pair_preference(preference_id=NAME), *texts) | changes


BAD_PREFERENCES = {
    "no prompt": Case(pair(prompt=None), "empty prompt"),
    "blank prompt": Case(pair(prompt="\u2003\u200b"), "empty prompt"),
    "prompt of 100,000 characters": Case(pair(prompt="x" * 100_000), "prompt too long: 100000 characters, 32000 at"),
    "zero byte in the prompt": Case(pair(prompt="a\0b"), r"control characters in prompt: U\+0000"),
    "unknown label": Case(pair(label="Image 1"), "no label: 'Image 1' is not one of"),
    "no label": Case(pair(label=None), "no label"),
    "one candidate": Case(pair(candidates=[SHOWN]), "wrong number of candidates: 1 for a pair"),
    "no list of candidates": Case(pair(candidates=None), "wrong number of candidates: 0"),
    "null for a candidate": Case(pair(candidates=[SHOWN, None]), "undecodable picture: candidate 2: no picture"),
    "null for a picture": Case(pair(candidates=[{"media": None, "text": None}, SHOWN]), "candidate 1: no picture"),
    "picture without bytes": Case(
        pair(candidates=[SHOWN, {"media": encode_image(picture()) | {"data": None}, "text": None}]),
        "undecodable picture: candidate 2: no picture",
    ),
    "picture that is a page": Case(
        pair(candidates=[SHOWN, {"media": NOT_A_PICTURE, "text": None}]), "candidate 2: the bytes are not a picture"
    ),
    "picture of no kind": Case(
        pair(candidates=[SHOWN, {"media": encode_image(picture()) | {"kind": None}, "text": None}]),
        "candidate of another kind: candidate 2: None",
    ),
    "clip among pictures": Case(
        pair(candidates=[SHOWN, {"media": encode_clip(shades(2), 8), "text": None}]),
        "candidate of another kind: candidate 2: video, where image_generation makes images",
    ),
    "null in what it is about": Case(pair(context=[None]), "undecodable picture: context 1: no picture"),
    "unknown kind": Case(pair(kind="triple"), "unknown task or kind: image_generation, triple"),
    "unknown task": Case(pair(task="sound"), "unknown task or kind: sound, pair"),
    "no task": Case(pair(task=None), "unknown task or kind: None, pair"),
    "score that is no number": Case(point(score=math.nan), "score outside its scale: nan on"),
    "score without end": Case(point(score=math.inf), "score outside its scale: inf on"),
    "score above its scale": Case(point(score=5.5), "score outside its scale: 5.5 on"),
    "score without a scale": Case(point(scale=None), "score outside its scale: 3.0 on None"),
    "scale of one value": Case(point(scale=SCALE | {"minimum": 3, "maximum": 3}), "score outside its scale"),
    "scale without an end": Case(point(scale=SCALE | {"maximum": None}), "score outside its scale"),
}

BAD_ANSWERS = {
    "no answer": Case(answers("red", " "), "no answer: candidate 2"),
    "answer that cannot be seen": Case(answers("red", "\u200b"), "empty answer: candidate 2"),
    "answer of a megabyte": Case(answers("x" * (1 << 20), "red"), "answer too long: candidate 1: 1048576 characters"),
    "zero byte in an answer": Case(answers("red", "b\0"), r"control characters in answer: candidate 2: U\+0000"),
    "about nothing": Case(answers("red", "blue", context=[]), "no context"),
    "about what is no picture": Case(answers("red", "blue", context=[NOT_A_PICTURE]), "undecodable picture: context 1"),
}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return schema.table_of(rows, schema.PREFERENCE)


def file_of(rows: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, **options)
    return sink.getvalue().to_pybytes()


def with_column(name: str, make: Callable[[pa.Table], pa.Array]) -> Callable[[list[dict[str, Any]]], bytes]:
    """A file in which a column is another one."""

    def made(rows: list[dict[str, Any]]) -> bytes:
        found = table(rows)
        return file_of(found.set_column(found.schema.get_field_index(name), name, make(found)))

    return made


def damaged(rows: list[dict[str, Any]], column: str) -> bytes:
    """A file with noise in place of the pages of a column."""
    data = bytearray(file_of(table(rows), use_dictionary=False))
    group = pq.ParquetFile(pa.BufferReader(bytes(data))).metadata.row_group(0)
    for n in range(group.num_columns):
        if group.column(n).path_in_schema == column:
            begin, length = group.column(n).data_page_offset, group.column(n).total_compressed_size
            data[begin : begin + length] = b"\xff" * length
    return bytes(data)


BROKEN_FILES: dict[str, tuple[Callable[[list[dict[str, Any]]], bytes], str]] = {
    "nothing": (lambda rows: b"", "cannot be read as parquet"),
    "a page": (lambda rows: b"<html>404</html>" * 9, "cannot be read as parquet"),
    "half of it": (lambda rows: file_of(table(rows))[:900], "cannot be read as parquet"),
    "its end missing": (lambda rows: file_of(table(rows))[:-5], "cannot be read as parquet"),
    "a column missing": (lambda rows: file_of(table(rows).drop_columns(["label"])), "lacks the columns label"),
    "ids that are lists": (with_column("preference_id", lambda t: pa.array([[1]] * len(t))), "unreadable file"),
    "tasks that are structs": (with_column("task", lambda t: pa.array([{"a": 1}] * len(t))), "unreadable file"),
    "damaged prompts": (lambda rows: damaged(rows, "prompt"), "row group 0"),
}

BROKEN_ROWS: dict[str, tuple[Callable[[list[dict[str, Any]]], bytes], str]] = {
    "scores that are words": (with_column("score", lambda t: pa.array(["good"] * len(t))), "not of the schema"),
    "candidates that are words": (with_column("candidates", lambda t: pa.array(["a.png"] * len(t))), "not of the"),
    "labels that are lists": (with_column("label", lambda t: pa.array([["first"]] * len(t))), "not of the schema"),
    "rationales that are no text": (
        with_column("rationale", lambda t: pa.array([b"caf\xe9"] * len(t), pa.binary())),
        "not of the schema: .*UTF",
    ),
    "damaged sources": (lambda rows: damaged(rows, "source"), "unreadable row"),
}

GOOD_FILES: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "no rows": lambda rows: file_of(table([])),
    "a column more": lambda rows: file_of(table(rows).append_column("more", pa.array(range(len(rows))))),
    "columns in another order": lambda rows: file_of(table(rows).select(schema.PREFERENCE.names[::-1])),
    "large texts": with_column("prompt", lambda t: t["prompt"].cast(pa.large_string())),
    "texts by number": with_column("source", lambda t: t["source"].combine_chunks().dictionary_encode()),
    "scores in double precision": with_column("score", lambda t: t["score"].cast(pa.float64())),
    "a column that may not be null": lambda rows: file_of(
        table(rows).cast(pa.schema([field.with_nullable(field.name != "task") for field in schema.PREFERENCE]))
    ),
}

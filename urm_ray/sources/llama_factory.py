"""Data sets of LLaMA-Factory: chats of a judge, and pairs of answers for its `stage: dpo`.

As LLaMA-Factory 0.9.5 reads them (data/parser.py, data/converter.py): a chat in `messages` or `conversations`, or
`instruction` and `input` with `output`; pairs have `chosen` and `rejected` in place of the answer. `images` and
`videos` list files, for each of which there is an `<image>` or `<video>` in the text. A folder's dataset_info.json says
which files there are and what their columns and roles are called; without one, every file is read by these names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from urm_ray.sources.chats import (
    MEDIA,
    ROLES,
    Turn,
    answer_of,
    answer_pair,
    media_of,
    places,
    question_of,
    records_of,
    turns_of,
)
from urm_ray.sources.draft import Draft
from urm_ray.sources.fields import FieldError, Record, drafts_of, text, value
from urm_ray.sources.folder import Folder
from urm_ray.sources.judged import judgement
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import JsonRecords, ParquetRecords
from urm_ray.sources.registry import Rejected, SourceError

INFO = "dataset_info.json"
_COLUMNS = {
    "messages": "messages",
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "chosen": "chosen",
    "rejected": "rejected",
    "images": "images",
    "videos": "videos",
}
"""What dataset_info.json calls a column, and what it is called by default."""


@dataclass(frozen=True)
class _Dataset:
    """One data set of a folder: its records, and where they differ from the default, names of columns, of the two
    fields of a turn, and of roles."""

    name: str
    records: JsonRecords | ParquetRecords
    columns: dict[str, str] = field(default_factory=dict)
    keys: tuple[str, str] | None = None
    roles: dict[str, str] = field(default_factory=dict)

    def plain(self, record: Record) -> Record:
        """The record by the default names."""
        return record | {_COLUMNS[name]: record.get(own) for name, own in self.columns.items()}

    def turns(self, found: Any, name: str) -> list[Turn]:
        if self.keys is None:
            return turns_of(found, name, ROLES | self.roles)
        return turns_of(found, name, ROLES | self.roles, [self.keys])


class LlamaFactory:
    """A pair of answers of every record with `chosen` and `rejected`; of every other what a judge said in it, as
    `judged` reads it: a pair, or points.

    Put aside: records without media, or with more or fewer than their text has places for; chats of more than one
    question; pairs of one answer twice; chats that teach a model to answer and not to judge.
    """

    def __init__(self, path: str) -> None:
        self.sets = _sets(Folder(path), path)

    def units(self, rows: int) -> Iterator[Unit]:
        for number, dataset in enumerate(self.sets):
            yield from ({"set": number, "part": part} for part in dataset.records.units(rows))

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        dataset = self.sets[unit["set"]]
        yield from drafts_of(dataset.records.read(unit["part"]), lambda key, record: _drafts(dataset, key, record))


def _drafts(dataset: _Dataset, key: str, record: Record) -> Iterator[Draft]:
    key, record = f"{dataset.name}:{key}" if dataset.name else key, dataset.plain(record)
    media = media_of(record)
    if record.get("chosen") is not None:
        question = question_of(_chat(dataset, record))
        answers = [_answer(dataset, record, side) for side in ("chosen", "rejected")]
        _fitting(question, len(media))
        yield answer_pair("llama-factory", key, question, answers[0], answers[1], media)
        return
    turns = [turn for turn in _chat(dataset, record) if turn.role != "system"]
    if isinstance(record.get("output"), str):
        turns.append(Turn("assistant", text(record, "output")))
    if [turn.role for turn in turns] != ["user", "assistant"]:
        raise FieldError("not one question and one answer", f"{len(turns)} turns")
    _fitting(turns[0].text, len(media))
    yield from judgement("llama-factory", key, turns[0].text, turns[1].text, media)


def _chat(dataset: _Dataset, record: Record) -> list[Turn]:
    for name in ("messages", "conversations"):
        if record.get(name) is not None:
            return dataset.turns(record[name], name)
    parts = [record.get(name) or "" for name in ("instruction", "input")]
    if not any(isinstance(part, str) and part.strip() for part in parts):
        raise FieldError("no messages")
    return [Turn("user", "\n".join(str(part) for part in parts if part).strip())]


def _answer(dataset: _Dataset, record: Record, side: str) -> str:
    found = value(record, side)
    return text(record, side) if isinstance(found, str) else answer_of(dataset.turns(found, side), side)


def _fitting(question: str, media: int) -> None:
    if places(question) != media:
        raise FieldError("places and files differ in number", f"{places(question)} places for {media} files")


def _sets(folder: Folder, path: str) -> list[_Dataset]:
    info = folder.find(INFO)
    columns = [*_COLUMNS.values(), "conversations", *MEDIA]
    if folder.file or info is None or not info.is_file():
        return [_Dataset("", records_of(path, columns))]
    try:
        known = json.loads(info.read_text("utf-8"))
        named = {name: entry for name, entry in known.items() if isinstance(entry, dict) and "file_name" in entry}
    except (OSError, ValueError, AttributeError) as error:
        raise SourceError(f"{info} cannot be read: {error}") from None
    if not named:
        raise SourceError(f"{info} names no data set with a file_name")
    return [_of_info(folder, name, named[name]) for name in sorted(named)]


def _of_info(folder: Folder, name: str, entry: dict[str, Any]) -> _Dataset:
    file = folder.find(str(entry["file_name"]))
    if file is None or not file.exists():
        raise SourceError(f"{folder.root / INFO}: there is no {entry['file_name']!r} in the folder")
    columns = {key: own for key, own in (entry.get("columns") or {}).items() if key in _COLUMNS}
    tags = entry.get("tags") or {}
    keys = (tags["role_tag"], tags["content_tag"]) if {"role_tag", "content_tag"} <= tags.keys() else None
    roles = {tags[f"{role}_tag"]: role for role in ("user", "assistant", "system") if f"{role}_tag" in tags}
    read = [*_COLUMNS.values(), "conversations", *MEDIA, *columns.values()]
    return _Dataset(name, records_of(str(file), read), columns, keys, roles)

"""A judge's training data in LLaVA's form: `conversations` of a question and an answer, with `image` or `video`.

JSON, JSON lines or parquet; `image` is a path or a list of them, `images` a list, `video` a path (UnifiedReward's
loader, llava/train/train.py). Paths are relative to the folder, or to that of `--media`.
"""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray.sources.chats import MEDIA, media_of, records_of, turns_of
from urm_ray.sources.draft import Draft
from urm_ray.sources.fields import FieldError, Record, drafts_of, value
from urm_ray.sources.judged import judgement
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected


class LLaVAConversations:
    """A pair of every answer that says which of two candidates is better, points of every answer that scores one, where
    the question is of a form of `judged`.

    Put aside: chats of other lengths, questions of other forms and answers without a verdict, among them all that teach
    a model to answer and not to judge.
    """

    def __init__(self, path: str) -> None:
        self.records = records_of(path, ["conversations", *MEDIA])

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _judgement)


def _judgement(key: str, record: Record) -> Iterator[Draft]:
    turns = [t for t in turns_of(value(record, "conversations"), "conversations") if t.role != "system"]
    if [turn.role for turn in turns] != ["user", "assistant"]:
        raise FieldError("not one question and one answer", f"{len(turns)} turns")
    yield from judgement("llava", key, turns[0].text, turns[1].text, media_of(record))

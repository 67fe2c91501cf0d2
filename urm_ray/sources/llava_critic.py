"""Pairs and points of LLaVA-Critic-113k: hub name lmms-lab/llava-critic-113k, configs pairwise and pointwise.

Parquet, split train: `conversations` of two turns, a question that holds what is judged and GPT-4o's judgement, and
`image`; also `id` and `source`. The card counts 40,154 rows in pairwise and 72,782 in pointwise, and the paper the
other way round: a part of pointwise judges pairs, so a row's question tells what the row is, and never its config
(`critic_forms`).
"""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray.config_training import Task
from urm_ray.judge.scale import SCALES
from urm_ray.sources.critic_forms import asked, judged
from urm_ray.sources.draft import Draft, pair, point
from urm_ray.sources.fields import FieldError, Record, drafts_of
from urm_ray.sources.hub_parquet import TRAIN_FILES, picture
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import ParquetRecords
from urm_ray.sources.registry import Rejected
from urm_ray.sources.turns import one_turn

_TASK: Task = "image_understanding"


class LLaVACritic:
    """A pair of every row that judges two answers, a point on 0-100 of every row that judges one; the judgement without
    its verdict is the rationale, and the question inside the question is the prompt.

    The two scores of the bench form are given side by side, so they make a pair and no points. Put aside: questions of
    other forms, such as scores on other scales, and texts without a verdict, with an unknown one, or with several that
    disagree; pairs of one answer twice.
    """

    def __init__(self, path: str) -> None:
        self.records = ParquetRecords(path, ["conversations", "image"], TRAIN_FILES)

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _draft)


def _draft(key: str, record: Record) -> Iterator[Draft]:
    question, answer = one_turn(record)
    about, context = asked(question), [picture(record, "image")]
    found = judged(about.form, answer)
    why = found.rationale
    if found.score is not None:
        (text,), scale = about.answers, SCALES["0-100"].row()
        yield point("llava-critic", key, _TASK, about.prompt, text, found.score, scale, context, rationale=why)
    if found.label is not None:
        first, second = about.answers
        if first == second:
            raise FieldError("the same answer twice")
        yield pair("llava-critic", key, _TASK, about.prompt, (first, second), found.label, context, rationale=why)

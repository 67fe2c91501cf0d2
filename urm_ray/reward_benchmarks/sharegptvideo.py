"""Held-out pairs of ShareGPTVideo: which of two answers to a question about a clip is better (arXiv 2404.01258).

A JSON list of {prompt, images, responses, answer}, as UnifiedReward's script reads its 1,000 pairs: `images` are the
frames of the clip in their order, `answer` is "Response 1 is better than Response 2." or the other way round. Which
pairs those are is not published. So one's own held-out pairs are read too, parquet files with the columns of
`schema.PREFERENCE`: of a mix of sources what `held_out` kept from training, of a run its heldout_pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from urm_ray.evaluation.accuracy import pair_figures
from urm_ray.evaluation.calls import Row
from urm_ray.reward_benchmarks.comparison import Benchmark, Comparison, Label, Measuring, overall
from urm_ray.reward_benchmarks.layouts import beside, open_records
from urm_ray.reward_benchmarks.preferences import item_of
from urm_ray.schema import PREFERENCE, digest
from urm_ray.sources.draft import Frames
from urm_ray.sources.fields import FieldError, Record, drafts_of, text, texts
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected
from urm_ray.sources.sharegptvideo_dpo import FPS
from urm_ray.sources.turns import without_places

_BETTER = re.compile(r"(?:Response|Answer) ([12]) is better than (?:Response|Answer) ([12])\.?")


class ShareGPTVideo(Benchmark):
    title = "ShareGPTVideo"

    def __init__(self, path: str) -> None:
        self.records = open_records(path, PREFERENCE.names, "**/*.parquet", ("**/*.json", "**/*.jsonl"))

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def items(self, unit: Unit) -> Iterator[Comparison | Rejected]:
        return drafts_of(self.records.read(unit), _item)

    @classmethod
    def measure(cls, rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
        """Accuracy, of pairs that are no human tie, as a mean over orders, and of pairs that are right in both."""
        figures = pair_figures(rows, how.seed, how.resamples)
        columns = {"Accuracy": figures["diff"], "Right in both orders": figures["diff_merged"]}
        return {"columns": columns, "figures": figures}


def _item(key: str, record: Record) -> Iterator[Comparison]:
    if "preference_id" in record:
        yield from item_of(key, record)
        return
    question, frames, answers = text(record, "prompt"), texts(record, "images"), texts(record, "responses")
    found = _BETTER.fullmatch(text(record, "answer"))
    if found is None or found[1] == found[2] or len(answers) != 2:
        raise FieldError("not two responses and the better one", repr(record["answer"])[:80])
    label: Label = "first" if found[1] == "1" else "second"
    yield Comparison(
        item_id=key,
        task="video_understanding",
        prompt=without_places(question),
        candidates=(answers[0], answers[1]),
        labels=overall(label),
        context=(beside(key, Frames(tuple(frames), FPS)),),
        cluster=digest("clip", frames)[:16],
    )

"""VideoGen-RewardBench: which of two clips made for a prompt people prefer, overall and in three dimensions
(arXiv 2501.13918).

videogen-rewardbench.csv, 26.5k rows, and the clips in videos.zip, read in place, or unpacked. VQ (visual quality), MQ
(motion quality), TA (text alignment) and Overall are A, B or same; an empty cell is no label of that dimension. Clips
of 12 models for some 400 prompts were compared, so a clip is in up to 11 pairs: all pairs of a prompt are in one unit,
in which each clip is decoded once and scored once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from urm_ray.evaluation.accuracy import pair_figures, tau_columns
from urm_ray.evaluation.calls import OVERALL, Row
from urm_ray.reward_benchmarks.comparison import Benchmark, Comparison, Label, Measuring
from urm_ray.schema import digest
from urm_ray.sources.draft import File
from urm_ray.sources.fields import FieldError, Record, drafts_of, text
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import CsvRecords
from urm_ray.sources.registry import Rejected

_LABELS: dict[str, Label] = {"A": "first", "B": "second", "same": "tie"}
_COLUMNS = {OVERALL: "Overall", "VQ": "VQ", "MQ": "MQ", "TA": "TA"}


class VideoGenRewardBench(Benchmark):
    title = "VideoGen-RewardBench"
    hub = "KlingTeam/VideoGen-RewardBench"
    dimensions: ClassVar[Mapping[str, Sequence[str]]] = {
        OVERALL: (),
        "VQ": ("visual quality",),
        "MQ": ("motion quality",),
        "TA": ("text alignment", "text-to-video alignment", "alignment"),
    }

    def __init__(self, path: str) -> None:
        columns = ["path_A", "path_B", "prompt", *_COLUMNS.values()]
        self.records = CsvRecords(path, columns, ["**/videogen-rewardbench*.csv"])

    @cached_property
    def _rows(self) -> dict[str, Record | Rejected]:
        """Every row by its key; 26.5k of them take 50 MB."""
        return {key: record for unit in self.records.units(4096) for key, record in self.records.read(unit)}

    def units(self, rows: int) -> Iterator[Unit]:
        """Whole prompts, as many as have about so many rows; rows without a prompt come last."""
        prompts: dict[str, list[str]] = {}
        for key, record in self._rows.items():
            prompt = "" if isinstance(record, Rejected) else record["prompt"].strip()
            prompts.setdefault(prompt, []).append(key)
        unfit = prompts.pop("", [])
        keys: list[str] = []
        for own in [*prompts.values(), unfit]:
            if keys and len(keys) + len(own) > rows:
                yield {"keys": keys}
                keys = []
            keys = keys + own
        if keys:
            yield {"keys": keys}

    def items(self, unit: Unit) -> Iterator[Comparison | Rejected]:
        return drafts_of(((key, self._rows[key]) for key in unit["keys"]), _item)

    @classmethod
    def measure(cls, rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
        """tau and diff of pair verdicts against the overall label; scores have theirs in each dimension."""
        figures = pair_figures(rows, how.seed, how.resamples)
        return {"columns": tau_columns(figures), "figures": figures}


def _item(key: str, record: Record) -> Iterator[Comparison]:
    prompt = text(record, "prompt")
    labels: dict[str, Label] = {}
    for dimension, column in _COLUMNS.items():
        said = record[column].strip()
        if said and said not in _LABELS:
            raise FieldError(f"{column} is not A, B or same", said[:40])
        if said:
            labels[dimension] = _LABELS[said]
    if OVERALL not in labels:
        raise FieldError("no Overall")
    clips = File(text(record, "path_A"), "video"), File(text(record, "path_B"), "video")
    yield Comparison(key, "video_generation", prompt, clips, labels, cluster=digest("prompt", prompt)[:16])

"""Pairs of one's own: parquet files with the columns of `schema.PREFERENCE`, such as a run's held-out pairs in
RUN/prepare-TASK-*/heldout_pairs, or what `jobs/prepare_data.py` keeps from a mix. Points among them are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from urm_ray.evaluation.accuracy import pair_figures, tau_columns
from urm_ray.evaluation.calls import Row
from urm_ray.reward_benchmarks.comparison import Benchmark, Candidate, Comparison, Measuring, overall
from urm_ray.schema import LABELS, PREFERENCE, TASKS, digest
from urm_ray.sources.draft import Encoded, Media
from urm_ray.sources.fields import FieldError, Record, drafts_of, listed, text
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import ParquetRecords
from urm_ray.sources.registry import Rejected


class Preferences(Benchmark):
    title = "Held-out pairs"

    def __init__(self, path: str) -> None:
        self.records = ParquetRecords(path, PREFERENCE.names)

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def items(self, unit: Unit) -> Iterator[Comparison | Rejected]:
        return drafts_of(self.records.read(unit), item_of)

    @classmethod
    def measure(cls, rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
        """tau and diff, as means over orders and of both orders together."""
        figures = pair_figures(rows, how.seed, how.resamples)
        return {"columns": tau_columns(figures), "figures": figures}


def item_of(key: str, record: Record) -> Iterator[Comparison]:
    """The comparison of a `schema.PREFERENCE` row; none of a point."""
    if record["kind"] == "point":
        return
    task, label, candidates = text(record, "task"), text(record, "label"), listed(record, "candidates")
    if task not in TASKS or label not in LABELS or len(candidates) != 2:
        raise FieldError("not two candidates, a label and a task", f"{len(candidates)}, {label}, {task}"[:80])
    context = tuple(_media(media) for media in record["context"] or ())
    prompt = text(record, "prompt")
    yield Comparison(
        item_id=text(record, "preference_id"),
        task=task,  # type: ignore[arg-type]
        prompt=prompt,
        candidates=(_candidate(candidates[0]), _candidate(candidates[1])),
        labels=overall(label),  # type: ignore[arg-type]
        context=context,
        group=record["source"] or "",
        cluster=digest("prompt", prompt)[:16],
    )


def _candidate(candidate: Record) -> Candidate:
    return text(candidate, "text") if candidate["media"] is None else _media(candidate["media"])


def _media(media: Record) -> Media:
    if not media["data"] or media["kind"] not in ("image", "video"):
        raise FieldError("no media")
    return Encoded(media["data"], media["kind"])

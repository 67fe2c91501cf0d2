"""The metrics that a run shows Prometheus through Ray, all of them; `cluster/grafana/urm_ray.json` draws each.

Ray puts `ray_` before a name and `_total` behind that of a counter. Counters are of this process, the driver, whatever
worked for it, and of what it did itself: of a stage that was begun before, the rest. They are no histograms, because
Ray 2.60 hands those on by the middles of their buckets, and their sums would not be true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ray.util.metrics import Counter, Gauge

from urm_ray.pipeline.counts import Counts

OF = ("stage", "task")
"""Tags that all have; the task is empty where a stage serves several."""


@dataclass(frozen=True)
class Metric:
    """says: what it counts or measures. tag: one of its own beside `OF`, if any."""

    says: str
    tag: str | None = None


COUNTERS = {
    "rows": Metric("Rows that are done: prompts, preferences, pairs, or units of a benchmark or an import"),
    "candidates": Metric("Candidates that were made and can be shown"),
    "questions": Metric("Questions that were put to a judge", "pool"),
    "verdicts": Metric("Verdicts; all but first, second, tie and score are none", "outcome"),
    "pairs": Metric("Preference pairs that were kept, or can be trained on"),
    "dropped": Metric("Prompts that gave no pair", "reason"),
    "put_aside": Metric("What failed and was put aside", "part"),
    "tokens_read": Metric("Tokens that models read, those that questions share once", "pool"),
    "tokens_decoded": Metric("Tokens that models decoded", "pool"),
    "rows_to_do": Metric("Rows that were not done when this process came to their stage"),
    "actor_seconds": Metric("Seconds of work of a pool; by the second, how many of its actors are at work", "pool"),
}
GAUGES = {
    "training_loss": Metric("Loss of a training, over the steps since the last one"),
    "training_step": Metric("Steps that a training has taken"),
    "training_steps": Metric("Steps that a training will take"),
    "training_waiting": Metric("Share of time that the slowest worker waited for data"),
}
PREFIX = "urm_ray_"


def count(tags: Mapping[str, str], counts: Counts) -> None:
    """Adds to the counters by name. tags: of `tags_of`. Nothing is kept that is counted before Ray is connected."""
    for (name, own), number in counts.items():
        if number > 0:
            _counter(name).inc(number, dict(tags) | _own(COUNTERS[name], own))


def show(tags: Mapping[str, str], **values: float) -> None:
    """Sets gauges."""
    for name, value in values.items():
        _gauge(name).set(value, dict(tags))


def tags_of(stage: str) -> dict[str, str]:
    """The tags of a stage by its name (`run.key`); what follows a colon says more than tags do."""
    name, _, task = stage.partition(":")[0].partition("-")
    return {"stage": name, "task": task}


def _own(metric: Metric, value: str) -> dict[str, str]:
    return {metric.tag: value} if metric.tag else {}


@cache
def _counter(name: str) -> Any:
    return Counter(PREFIX + name, COUNTERS[name].says, _keys(COUNTERS[name]))


@cache
def _gauge(name: str) -> Any:
    return Gauge(PREFIX + name, GAUGES[name].says, _keys(GAUGES[name]))


def _keys(metric: Metric) -> tuple[str, ...]:
    return (*OF, metric.tag) if metric.tag else OF

"""Multimodal RewardBench: which of two answers to a question about a picture is better (arXiv 2502.14191).

data/all_data.json, which the benchmark's own script builds from third parties' data, with the pictures beside it; or
parquet of the same columns on the hub. A record has `ID`, `Text`, `Image`, `Output1`, `Output2`, `Better` (Output1 or
Output2) and `Meta.Category`, in parquet `Category`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from urm_ray.evaluation.accuracy import counted, over_orders, pair_figures, per_cluster
from urm_ray.evaluation.calls import Row
from urm_ray.evaluation.groups import check_figures
from urm_ray.evaluation.metrics import macro
from urm_ray.reward_benchmarks.comparison import Benchmark, Comparison, Label, Measuring, in_group, overall
from urm_ray.reward_benchmarks.layouts import beside, open_records
from urm_ray.sources.fields import FieldError, Record, drafts_of, mapping, text
from urm_ray.sources.hub_parquet import picture
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected

_BETTER: dict[str, Label] = {"Output1": "first", "Output2": "second"}
_WITHIN = {"safety": ("pairs", "bias", "toxicity"), "reasoning": ("math", "math", "coding")}
"""Of a category what ids of its one part begin with, that part and the other (official code: 2_get_accuracy.py)."""


def group_of(category: str, item_id: str) -> str:
    """A category, and of safety and reasoning the part that an id belongs to."""
    name = category.replace("/", " ")
    if name not in _WITHIN:
        return name
    beginning, one, other = _WITHIN[name]
    return f"{name}/{one if item_id.lower().startswith(beginning) else other}"


class MultimodalRewardBench(Benchmark):
    title = "Multimodal RewardBench"
    hub = "syhuggingface/multimodal_rewardbench"

    def __init__(self, path: str) -> None:
        columns = ["ID", "Text", "Image", "Output1", "Output2", "Better", "Category"]
        self.records = open_records(path, columns, "**/*.parquet", "**/all_data.json")

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def items(self, unit: Unit) -> Iterator[Comparison | Rejected]:
        return drafts_of(self.records.read(unit), _item)

    @classmethod
    def measure(cls, rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
        """Accuracy overall, by items, and of each category. An answer that cannot be read is wrong; the official code
        throws a coin for it."""
        names = sorted({row["group"].partition("/")[0] for row in rows})
        parts = {name: [row for row in rows if in_group(row, name)] for name in names}
        groups = {name: counted(own, over_orders, how.seed, how.resamples) for name, own in parts.items()}
        figures = pair_figures(rows, how.seed, how.resamples)
        check_figures(groups, figures["tau"])
        mean = macro([per_cluster(part, over_orders) for part in parts.values()], how.seed, how.resamples)
        return {"columns": {"Overall": figures["tau"]} | groups | {"Macro": mean}, "figures": figures | {"macro": mean}}


def _item(key: str, record: Record) -> Iterator[Comparison]:
    name, better = text(record, "ID"), text(record, "Better")
    if better not in _BETTER:
        raise FieldError("Better is not Output1 or Output2", better[:40])
    category = text(mapping(record, "Meta") if "Meta" in record else record, "Category")
    yield Comparison(
        item_id=f"{name}:{key}",
        task="image_understanding",
        prompt=text(record, "Text"),
        candidates=(text(record, "Output1"), text(record, "Output2")),
        labels=overall(_BETTER[better]),
        context=(beside(key, picture(record, "Image")),),
        group=group_of(category, name),
        cluster=name,
    )

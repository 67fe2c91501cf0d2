"""What was found on a benchmark: figures of predictions, and what they are figures of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from urm_ray.evaluation.accuracy import pair_figures
from urm_ray.evaluation.calls import OVERALL, Row, about, compared, label_of
from urm_ray.evaluation.ties import scalar_figures
from urm_ray.reward_benchmarks.comparison import Benchmark, Measuring, in_group

_OF_GROUPS = ("tau", "diff", "tau_merged", "diff_merged", "order_agreement", "first_position")


def measured(
    kind: type[Benchmark],
    rows: Sequence[Row],
    aside: Sequence[Mapping[str, Any]],
    how: Measuring,
    limited: bool = False,
) -> dict[str, Any]:
    """Figures of `schema.PREDICTION` rows; the model that gave them is not needed.

    columns: what a table shows, in order. figures: all of them; `dimensions` has those of pairs, `scores` those of
    point scores by dimension.
    groups: figures of each category. items: how many were asked, which the judge's form cannot show, and which were put
    aside as unusable (`schema.QUARANTINE` rows), by reason. complete: whether these are all items of the published
    benchmark, which those of a limited reading are not; None where its size is not known and nothing was left out.
    """
    asked = [row for row in rows if row["skipped"] is None]
    found = kind.measure(asked, how)
    compared, scores = _compared(kind, asked, how), _scores(asked, how)
    columns = found["columns"]
    for dimension, figures in compared.items():
        columns |= {f"{dimension}, {name}": figures[name] for name in ("tau", "diff")}
    for dimension, figures in scores.items():
        shown = "Scores" if dimension == OVERALL else f"{dimension} scores"
        columns |= {f"{shown}, {name}": figures[name] for name in ("tau", "diff")}
    return {
        "title": kind.title,
        "columns": [{"name": name, **figure} for name, figure in columns.items()],
        "figures": found["figures"] | {"dimensions": compared, "scores": scores},
        "groups": _groups(asked, how),
        "items": {
            "asked": len(asked),
            "skipped": dict(Counter(row["skipped"] for row in rows if row["skipped"] is not None)),
            "put_aside": dict(Counter(row["reason"] for row in aside)),
        },
        "complete": False if limited or aside or len(asked) < len(rows) else _complete(kind.sizes, asked),
    }


def _compared(kind: type[Benchmark], rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
    """`pair_figures` by dimension, of those in which the judge compares candidates beside its verdict."""
    figures = {}
    for dimension, names in kind.dimensions.items():
        if name := compared(rows, names):
            own = [about(row, dimension, name) for row in rows if label_of(row, dimension) is not None]
            figures[dimension] = pair_figures(own, how.seed, how.resamples)
    return figures


def _scores(rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
    """`scalar_figures` by dimension, of those in which candidates were scored."""
    scored = dict.fromkeys(verdict["dimension"] for row in rows for verdict in row["point_verdicts"])
    return {dimension: scalar_figures(rows, how.seed, how.resamples, dimension) for dimension in scored}


def _groups(rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
    """Figures of each category and of those within it, by name."""
    names = {row["group"] for row in rows if row["group"]}
    names |= {name.partition("/")[0] for name in names}
    groups = {}
    for name in sorted(names):
        figures = pair_figures([row for row in rows if in_group(row, name)], how.seed, how.resamples)
        groups[name] = {key: figures[key] for key in _OF_GROUPS}
    return groups


def _complete(sizes: Mapping[str, int], rows: Sequence[Row]) -> bool | None:
    if not sizes:
        return None
    return all(sum(name == "all" or in_group(row, name) for row in rows) == size for name, size in sizes.items())

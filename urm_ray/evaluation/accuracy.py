"""Accuracy of a judge on human pair labels, as benchmarks define it (`urm_ray/reward_benchmarks/README.md`).

Every pair is asked in both orders, and an unanswered question is wrong unless a figure says otherwise. Rows are
`schema.PREDICTION` values. Intervals resample clusters, such as the pairs of one prompt, since those hang together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from urm_ray.evaluation.calls import Row, both_orders, call, label_of, merged, outcomes, three_way
from urm_ray.evaluation.metrics import Counts, Figure, clustered

Count = Callable[[Row], tuple[float, float]]
"""(hits, trials) of a row."""


def over_orders(row: Row) -> tuple[float, float]:
    """The share of both orders in which the call is the label, kinds of ties taken together.

    It is what one order drawn by chance is expected to give, without the noise of the draw.
    """
    label = three_way(str(label_of(row)))
    return sum(said == label for said in both_orders(row)) / 2, 1


def as_merged(row: Row) -> tuple[float, float]:
    """Whether the call of both orders together is the label; two orders that disagree are a tie."""
    return float(merged(row) == three_way(str(label_of(row)))), 1


def of_answered(row: Row) -> tuple[float, float]:
    """Right verdicts of those that were given, for benchmarks that leave out the others."""
    label = three_way(str(label_of(row)))
    said = [call(verdict) for verdict in row["pair_verdicts"]]
    return said.count(label), len(said) - said.count(None)


def per_cluster(rows: Sequence[Row], count: Count) -> Counts:
    """The counts of rows added up within each cluster, in the order of the clusters' names."""
    sums: dict[str, tuple[float, float]] = {}
    for row in rows:
        (hits, trials), before = count(row), sums.get(row["cluster"], (0, 0))
        sums[row["cluster"]] = (before[0] + hits, before[1] + trials)
    return [sums[cluster] for cluster in sorted(sums)]


def counted(rows: Sequence[Row], count: Count, seed: int, resamples: int) -> Figure:
    """Hits of all trials, with its interval over clusters. n counts trials."""
    return clustered(per_cluster(rows, count), seed, resamples)


def decided(rows: Sequence[Row]) -> list[Row]:
    """The rows in which people preferred a candidate."""
    return [row for row in rows if three_way(str(label_of(row))) != "tie"]


def pair_figures(rows: Sequence[Row], seed: int, resamples: int) -> dict[str, Any]:
    """What is known of any benchmark of pairs.

    tau: the three-way call is the label, mean over orders; c + c_t of N. diff: of pairs that are no human tie, c of
    N - T; a judge's tie is wrong there. tau_merged, diff_merged: the same for the call of both orders together, so
    that in a benchmark without ties a pair counts that is right in both. order_agreement: pairs with the same call in
    both orders. first_position: verdicts for what was shown first, of those for either; 0.5 is no bias.
    human_ties: their number. verdicts: how many of each outcome.
    """
    clear = decided(rows)
    return {
        "tau": counted(rows, over_orders, seed, resamples),
        "diff": counted(clear, over_orders, seed, resamples),
        "tau_merged": counted(rows, as_merged, seed, resamples),
        "diff_merged": counted(clear, as_merged, seed, resamples),
        "order_agreement": counted(rows, _agrees, seed, resamples),
        "first_position": counted(rows, _for_first, seed, resamples),
        "human_ties": len(rows) - len(clear),
        "verdicts": outcomes(rows),
    }


def tau_columns(figures: dict[str, Any]) -> dict[str, Figure]:
    """What a table shows of `pair_figures` where people may call ties."""
    names = {"tau": "tau", "diff": "diff", "tau, merged": "tau_merged", "diff, merged": "diff_merged"}
    return {name: figures[key] for name, key in names.items()}


def _agrees(row: Row) -> tuple[float, float]:
    forward, reverse = both_orders(row)
    return float(forward is not None and forward == reverse), 1


def _for_first(row: Row) -> tuple[float, float]:
    said = [verdict["outcome"] for verdict in row["pair_verdicts"]]
    return said.count("first"), said.count("first") + said.count("second")

"""Scalar scores against three-way labels: from which difference of two scores on a judge has a preference.

A scalar judge never says "tie": two candidates are one where their scores differ by a threshold or less. The best
threshold can be found on labelled pairs (Ties Matter, arXiv 2305.14324, algorithm 1). Found on the pairs that are
reported, as is common (VideoAlign, calc_accuracy.py), it flatters the judge; here it comes from other pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urm_ray.evaluation.accuracy import counted
from urm_ray.evaluation.calls import OVERALL, Row, label_of, three_way
from urm_ray.evaluation.metrics import Figure
from urm_ray.schema import seed_of

Floats = NDArray[np.float64]
NEVER = -1.0
"""The threshold below all differences: no two scores are a tie, not even equal ones."""
_SIGNS = {"first": 1.0, "second": -1.0, "tie": 0.0}


def hits(labels: Floats, margins: Floats, threshold: float | Floats) -> NDArray[np.bool_]:
    """Which pairs are called as people did: a tie where |margin| is at most the threshold, else the higher score.

    labels: (n,), 1 for the first candidate, -1 for the second, 0 for a tie. margins: (n,), score of the first less that
    of the second, NaN without two scores, which is wrong. Below all differences a margin of 0 is wrong too.
    """
    tied = np.abs(margins) <= threshold
    signs = np.sign(margins)
    return np.where(tied, labels == 0, (labels == signs) & (labels != 0))


def best_threshold(labels: Floats, margins: Floats) -> float:
    """The threshold, one of the differences that occur or NEVER, with the most hits; the smallest of several.

    Exact, in O(n log n): with a growing threshold the pairs become ties one after the other, in the order of their
    differences; each gains a hit if it is a human tie and loses one if it was right.
    """
    known = ~np.isnan(margins)
    labels, margins = labels[known], margins[known]
    sizes = np.abs(margins)
    order = np.argsort(sizes, kind="stable")
    gains = (labels == 0).astype(int) - hits(labels, margins, NEVER).astype(int)
    totals = np.concatenate([[0], np.cumsum(gains[order])])
    places = np.concatenate([[NEVER], sizes[order]])
    # Equal differences become ties together, so only the last of each counts.
    last = np.append(places[1:] != places[:-1], True)
    return float(places[last][np.argmax(totals[last])])


def fold_of(cluster: str) -> int:
    """The half, 0 or 1, in which all pairs of a cluster lie."""
    return seed_of("tie threshold", cluster) % 2


def scalar_figures(rows: Sequence[Row], seed: int, resamples: int, dimension: str = OVERALL) -> dict[str, Any]:
    """Figures of point scores in a dimension, over the rows that have a label in it.

    tau: three-way accuracy; the pairs of each half are called with the threshold that is best on the other half, halves
    being drawn by a hash of clusters. Nothing while a half is empty. tau_tuned: with the threshold that is best on
    these very pairs, as others report it; optimistic. diff: of pairs that are no human tie, the higher score is the
    preferred candidate's; equal scores are wrong. thresholds: of either half. unscored: pairs without two scores, which
    are wrong everywhere.
    """
    rows = [row for row in rows if label_of(row, dimension) is not None]
    labels = np.array([_SIGNS[three_way(str(label_of(row, dimension)))] for row in rows], float)
    margins = np.array([_margin(row, dimension) for row in rows], float)
    folds = np.array([fold_of(row["cluster"]) for row in rows], int)

    def figure_of(right: NDArray[np.bool_], kept: NDArray[np.bool_]) -> Figure:
        own = zip(rows, right.tolist(), kept.tolist(), strict=True)
        counts = {row["item_id"]: (float(hit), float(keep)) for row, hit, keep in own}
        return counted(rows, lambda row: counts[row["item_id"]], seed, resamples)

    every, clear = np.ones(len(rows), bool), labels != 0
    tau: Figure = {"value": None, "ci95": [None, None], "n": len(rows)}
    thresholds = None
    if {0, 1} <= set(folds.tolist()):
        thresholds = [best_threshold(labels[folds != half], margins[folds != half]) for half in (0, 1)]
        tau = figure_of(hits(labels, margins, np.array(thresholds)[folds]), every)
    return {
        "tau": tau,
        "tau_tuned": figure_of(hits(labels, margins, best_threshold(labels, margins)), every),
        "diff": figure_of(hits(labels, margins, NEVER) & clear, clear),
        "thresholds": thresholds,
        "human_ties": int((~clear).sum()),
        "unscored": int(np.isnan(margins).sum()),
    }


def _margin(row: Row, dimension: str) -> float:
    scores = {v["index"]: v["score"] for v in row["point_verdicts"] if v["dimension"] == dimension}
    if scores.get(0) is None or scores.get(1) is None:
        return float("nan")
    return scores[0] - scores[1]

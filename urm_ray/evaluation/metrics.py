"""Figures with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

Figure = dict[str, Any]
"""{"value", "ci95": [low, high], "n"}"""


def figure(value: float, low: float, high: float, n: int) -> Figure:
    return {"value": round(float(value), 6), "ci95": [round(float(low), 6), round(float(high), 6)], "n": int(n)}


def share(successes: int, n: int) -> Figure:
    """A proportion with Wilson's interval."""
    if n == 0:
        return {"value": None, "ci95": [None, None], "n": 0}
    interval = stats.binomtest(successes, n).proportion_ci(method="wilson")
    return figure(successes / n, interval.low, interval.high, n)


def mean(values: Sequence[float], seed: int, resamples: int = 2000) -> Figure:
    """A mean with a percentile bootstrap over the values, which must be independent units (prompts, not pictures)."""
    data = np.asarray(values, dtype=float)
    if len(data) == 0:
        return {"value": None, "ci95": [None, None], "n": 0}
    dice = np.random.default_rng(seed)
    draws = np.array([data[dice.integers(len(data), size=len(data))].mean() for _ in range(resamples)])
    low, high = np.percentile(draws, [2.5, 97.5])
    return figure(data.mean(), low, high, len(data))


def ratio(counts: Sequence[tuple[int, int]], seed: int, resamples: int = 2000) -> Figure:
    """Hits of all trials, with a percentile bootstrap over the groups that (hits, trials) are counts of.

    For trials that hang together, such as the verdicts on one prompt. n counts trials.
    """
    data = np.asarray([c for c in counts if c[1]], dtype=float).reshape(-1, 2)
    if len(data) == 0:
        return {"value": None, "ci95": [None, None], "n": 0}
    dice = np.random.default_rng(seed)
    sums = np.array([data[dice.integers(len(data), size=len(data))].sum(0) for _ in range(resamples)])
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    hits, trials = data.sum(0)
    return figure(hits / trials, low, high, trials)


def spearman(x: Sequence[float], y: Sequence[float], seed: int, resamples: int = 2000) -> Figure:
    """Rank correlation with a percentile bootstrap over the points."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return {"value": None, "ci95": [None, None], "n": len(a)}
    dice = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        i = dice.integers(len(a), size=len(a))
        if np.ptp(a[i]) and np.ptp(b[i]):
            draws.append(np.corrcoef(stats.rankdata(a[i]), stats.rankdata(b[i]))[0, 1])
    low, high = np.percentile(draws, [2.5, 97.5])
    return figure(stats.spearmanr(a, b).statistic, low, high, len(a))

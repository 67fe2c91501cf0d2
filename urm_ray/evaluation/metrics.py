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


def ratio(counts: Sequence[tuple[float, float]], seed: int, resamples: int = 2000) -> Figure:
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


Counts = Sequence[tuple[float, float]]
"""(hits, trials) of each of some independent units."""


def clustered(counts: Counts, seed: int, resamples: int = 2000) -> Figure:
    """As `ratio`; where all units have the same share of hits, so that every draw is alike, the interval is Wilson's
    for as many trials as there are units."""
    filled = [(hits, trials) for hits, trials in counts if trials]
    shares = {hits / trials for hits, trials in filled}
    if len(shares) != 1:
        return ratio(filled, seed, resamples)
    value, n, z = shares.pop(), len(filled), float(stats.norm.ppf(0.975))
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (value * (1 - value) / n + z * z / (4 * n * n)) ** 0.5
    trials = sum(trials for _, trials in filled)
    return figure(value, min(value, max(0.0, middle - half)), max(value, min(1.0, middle + half)), int(trials))


def macro(parts: Sequence[Counts], seed: int, resamples: int = 2000) -> Figure:
    """The unweighted mean of the parts' ratios, each of (hits, trials) as in `ratio`, resampled within each part.

    None while a part is empty: a mean of other parts would be another figure. n counts all trials.
    """
    data = [np.asarray([c for c in part if c[1]], dtype=float).reshape(-1, 2) for part in parts]
    n = int(sum(part[:, 1].sum() for part in data))
    if not data or any(len(part) == 0 for part in data):
        return {"value": None, "ci95": [None, None], "n": n}
    dice = np.random.default_rng(seed)
    draws = np.zeros(resamples)
    for part in data:
        sums = np.array([part[dice.integers(len(part), size=len(part))].sum(0) for _ in range(resamples)])
        draws += sums[:, 0] / sums[:, 1] / len(data)
    low, high = np.percentile(draws, [2.5, 97.5])
    return figure(float(np.mean([part[:, 0].sum() / part[:, 1].sum() for part in data])), low, high, n)


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


def calibration_error(said: Sequence[tuple[float, bool]], seed: int, resamples: int = 2000, bins: int = 10) -> Figure:
    """How far confidence and accuracy lie apart, with a percentile bootstrap over the answers.

    said: (confidence in [0, 1], whether it was right). The expected calibration error (Guo et al. 2017, eq. 3) over
    bins of equally many answers: 0 is a judge that is right as often as it says. With few answers chance alone makes
    it larger, and a resample more so: the interval leans upwards.
    """
    data = np.asarray(said, dtype=float).reshape(-1, 2)
    if len(data) == 0:
        return {"value": None, "ci95": [None, None], "n": 0}
    dice = np.random.default_rng(seed)
    draws = [_apart(data[dice.integers(len(data), size=len(data))], bins) for _ in range(resamples)]
    low, high = np.percentile(draws, [2.5, 97.5])
    value = _apart(data, bins)
    return figure(value, min(value, low), max(value, high), len(data))


def _apart(said: np.ndarray, bins: int) -> float:
    """said: (answers, 2). Answers of one confidence stay together, whatever the bins' sizes."""
    confidence = said[:, 0]
    edges = np.quantile(confidence, np.arange(1, bins) / bins)
    of = np.searchsorted(edges, confidence, side="left")
    gaps = np.bincount(of, confidence - said[:, 1], minlength=bins)
    return float(np.abs(gaps).sum() / len(said))

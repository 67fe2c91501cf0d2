"""How strong candidates are, by all pairs that they were compared in: the model of Bradley and Terry (1952)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SPREAD = 1.0
"""Standard deviation, in logits, that strengths are taken to have before any pair is seen. It keeps those of candidates
that win or lose all of their pairs finite, and the nearer to 0 the fewer pairs they are in."""
DIGITS = 9
"""Of strengths; what differs behind them is arithmetic."""
_SHARES = {"first": 1.0, "tie": 0.5, "second": 0.0}


def share_of(verdicts: Sequence[dict[str, Any]], index: int) -> float | None:
    """The share of a win that candidate `index` takes from one pair, the mean over the orders that were asked.

    verdicts: the `schema.PAIR_VERDICT` values on the pair. A share is the probability that the candidate is the better
    one plus half that of a tie where the judge gives probabilities, and 1, one half or 0 where its answer was decoded.
    None where an order has no answer: the other one alone would carry the bias of its places.
    """
    if not verdicts or any(verdict["outcome"] not in _SHARES for verdict in verdicts):
        return None
    firsts = [_of_first(verdict) for verdict in verdicts]
    own = [p if v["first"] == index else 1 - p for p, v in zip(firsts, verdicts, strict=True)]
    return sum(own) / len(own)


def _of_first(verdict: dict[str, Any]) -> float:
    if verdict["p_first"] is None or verdict["p_second"] is None:
        return _SHARES[verdict["outcome"]]
    return 0.5 + (verdict["p_first"] - verdict["p_second"]) / 2


def strengths(shares: Mapping[tuple[int, int], float]) -> dict[int, float]:
    """The strength of every candidate that was compared, in logits; that of one less that of another is the log-odds
    of a win.

    shares: for two candidates (a, b), each pair once, the share of a win that a took, 0 to 1. The strengths are those
    of the greatest posterior probability, under the model's likelihood and a normal prior of mean 0 and deviation
    SPREAD. There is one such set of strengths, and it is finite. Where comparisons fall apart into groups that
    never met, the strengths of each group have the mean 0: nothing tells which group is the better one.
    """
    names = sorted({index for pair in shares for index in pair})
    place = {name: k for k, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for (a, b), share in shares.items():
        wins[place[a], place[b]] += share
        wins[place[b], place[a]] += 1 - share
    return {name: float(s) for name, s in zip(names, fit(wins), strict=True)}


def fit(wins: np.ndarray) -> np.ndarray:
    """Strengths (N,) from wins (N, N), where wins[a, b] is how often a beat b; shares of wins count as such.

    Newton's method on a strictly concave function, with steps halved until they gain.
    """
    games, found = wins + wins.T, np.zeros(len(wins))
    value = _posterior(wins, games, found)
    for _ in range(100):
        chance = 1 / (1 + np.exp(-(found[:, None] - found[None, :])))
        slope = (wins - games * chance).sum(1) - found / SPREAD**2
        if np.abs(slope).max(initial=0.0) < 1e-13 * (1 + games.sum()):
            break
        weight = games * chance * (1 - chance)
        curve = np.diag(weight.sum(1) + 1 / SPREAD**2) - weight
        step = np.linalg.solve(curve, slope)
        while (new := _posterior(wins, games, found + step)) < value - 1e-12 * abs(value):
            step /= 2
        found, value = found + step, new
    return np.round(found, DIGITS) + 0.0


def _posterior(wins: np.ndarray, games: np.ndarray, at: np.ndarray) -> float:
    """The logarithm of the posterior probability of strengths, but for a constant."""
    return float(-(wins * np.logaddexp(0, at[None, :] - at[:, None])).sum() - (at**2).sum() / (2 * SPREAD**2))

"""Sifts a judged set into one preference pair, or into a dropped row with its reason (paper III-C)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from urm_ray.config import PairsConfig
from urm_ray.pairs.ranking import Comparison, Result, compare
from urm_ray.schema import digest

DROP_REASONS = ("tie", "order_disagreement", "unparsed", "media_error", "no_margin")


def _pairs(verdicts: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[frozenset[int], list[dict[str, Any]]] = {}
    for verdict in verdicts:
        groups.setdefault(frozenset((verdict["first"], verdict["second"])), []).append(verdict)
    return list(groups.values())


def _by_point(comparison: Comparison, a: int, b: int, scores: dict[int, float]) -> Comparison:
    """Lets the point scores decide a pair that ranking left open."""
    if (
        comparison.result not in ("tie", "order_disagreement")
        or a not in scores
        or b not in scores
        or scores[a] == scores[b]
    ):
        return comparison
    winner, loser = (a, b) if scores[a] > scores[b] else (b, a)
    return Comparison("win", winner, loser)


def sift(row: dict[str, Any], config: PairsConfig) -> dict[str, Any]:
    """The pair columns of a `schema.SIFTED_SET` row from the rest of it.

    Chosen is the best point score among the winners, rejected the worst among the losers (the lower index where scores
    are equal); the row is kept only if chosen - rejected is greater than `min_margin`. A candidate without a point
    score can be neither.
    """
    scores = {v["index"]: v["score"] for v in row["point_verdicts"] if v["outcome"] == "score"}
    groups = _pairs(row["pair_verdicts"])
    comparisons = [compare(group) for group in groups]
    results = [c.result for c in comparisons]
    if config.ties == "point":
        comparisons = [
            _by_point(c, g[0]["first"], g[0]["second"], scores) for c, g in zip(comparisons, groups, strict=True)
        ]
    winners = [c.winner for c in comparisons if c.winner is not None]
    losers = [c.loser for c in comparisons if c.loser is not None]
    candidates = {c["index"]: c for c in row["candidates"]}
    able = [i for i in winners if i in scores], [i for i in losers if i in scores]
    columns: dict[str, Any] = {
        "pair_id": digest("pair", row["prompt_id"], row["sampler_digest"], row["judge_digest"]),
        "chosen": None,
        "rejected": None,
        "chosen_score": None,
        "rejected_score": None,
        "margin": None,
        "dropped": None,
        "winners": winners,
        "losers": losers,
        "pairs_asked": len(groups),
        "orders_agreed": sum(len(g) > 1 and r in ("win", "tie") for g, r in zip(groups, results, strict=True)),
        "first_preferred": sum(v["outcome"] == "first" for v in row["pair_verdicts"]),
    }
    if not winners:
        # The most frequent reason; between equals, the one nearest to a broken judge.
        order: tuple[Result, ...] = ("media_error", "unparsed", "order_disagreement", "tie")
        return {**columns, "dropped": max(order, key=lambda r: (results.count(r), -order.index(r)))}
    if not able[0] or not able[1]:
        reasons = {v["outcome"] for v in row["point_verdicts"] if v["outcome"] != "score"}
        return {**columns, "dropped": "media_error" if reasons == {"media_error"} else "unparsed"}
    chosen = min(able[0], key=lambda i: (-scores[i], i))
    rejected = min(able[1], key=lambda i: (scores[i], i))
    margin = scores[chosen] - scores[rejected]
    columns |= {"chosen_score": scores[chosen], "rejected_score": scores[rejected], "margin": margin}
    if not margin > config.min_margin:
        return {**columns, "dropped": "no_margin"}
    return {**columns, "chosen": candidates[chosen], "rejected": candidates[rejected]}

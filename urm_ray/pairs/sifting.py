"""Sifts a judged set into one preference pair, or into a dropped row with its reason (paper III-C)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from urm_ray.config_pairs import BY_SCORE, PairsConfig
from urm_ray.judge.equal import EQUAL, distinct, first_equals
from urm_ray.pairs.ranking import Comparison, Result, by_pair, compare
from urm_ray.pairs.strengths import share_of, strengths
from urm_ray.schema import digest, seed_of

DROP_REASONS = ("tie", "order_disagreement", "unparsed", "media_error", "no_margin")
SURPLUS = "surplus"
"""Why a pair is dropped that `keep` leaves no room for."""

Choice = tuple[int, int] | str
"""Indices of chosen and rejected, or why there is no pair."""


@dataclass(frozen=True)
class Evidence:
    """What there is to choose by: a `schema.JUDGED_SET` row, its point scores by index, and for each ranked pair the
    verdicts, the comparison, and what the judge itself said, before `ties` had a word."""

    row: dict[str, Any]
    scores: dict[int, float]
    pairs: list[list[dict[str, Any]]]
    comparisons: list[Comparison]
    results: list[Result]

    @property
    def winners(self) -> list[int]:
        return [c.winner for c in self.comparisons if c.winner is not None]

    @property
    def losers(self) -> list[int]:
        return [c.loser for c in self.comparisons if c.loser is not None]

    def drawn(self, *ids: int) -> int:
        """The place of candidates in a draw; it hangs on ids alone."""
        return seed_of("pair", self.row["prompt_id"], self.row["sampler_digest"], *ids)

    def unranked(self) -> str:
        """Why no pair has a winner: the most frequent reason; between equals, the one nearest to a broken judge."""
        order: tuple[Result, ...] = ("media_error", "unparsed", "order_disagreement", "tie")
        if not self.results:
            return self.alike()
        return max(order, key=lambda r: (self.results.count(r), -order.index(r)))

    def alike(self) -> str:
        """Why there are no two candidates to choose between: they are all equal, or they are not there."""
        return "tie" if len(self.made) > 1 and len(set(self.first_equals.values())) == 1 else "media_error"

    @cached_property
    def made(self) -> list[dict[str, Any]]:
        """The candidates that are there, by index."""
        candidates = sorted(self.row["candidates"], key=lambda c: c["index"])
        return [c for c in candidates if not c["error"] and (c["media"] is not None or c["text"] is not None)]

    @cached_property
    def first_equals(self) -> dict[int, int]:
        return first_equals(self.made)

    def first(self, index: int) -> int:
        """The first candidate that equals this one."""
        return self.first_equals.get(index, index)

    def unscored(self) -> str:
        reasons = {v["outcome"] for v in self.row["point_verdicts"] if v["outcome"] != "score"}
        return "media_error" if reasons == {"media_error"} else "unparsed"

    def best(self, of: Iterable[int]) -> int:
        return min(of, key=lambda i: (-self.scores[i], i))

    def worst(self, of: Iterable[int]) -> int:
        return min(of, key=lambda i: (self.scores[i], i))


def _pair_point(found: Evidence) -> Choice:
    if not found.winners:
        return found.unranked()
    winners = [i for i in found.winners if i in found.scores]
    losers = [i for i in found.losers if i in found.scores]
    return (found.best(winners), found.worst(losers)) if winners and losers else found.unscored()


def _pair(found: Evidence) -> Choice:
    pairs = [(c.winner, c.loser) for c in found.comparisons if c.winner is not None and c.loser is not None]
    return min(pairs, key=lambda pair: found.drawn(*sorted(pair))) if pairs else found.unranked()


def _point(found: Evidence) -> Choice:
    if len(found.scores) < 2:
        return found.unscored()
    return found.best(found.scores), found.worst(found.scores)


def _best_of(found: Evidence) -> Choice:
    if len(found.scores) < 2:
        return found.unscored()
    best = found.best(found.scores)
    others = [i for i in found.scores if found.first(i) != found.first(best)]
    return (best, min(others, key=found.drawn)) if others else "tie"


def _bradley_terry(found: Evidence) -> Choice:
    shares: dict[tuple[int, int], float] = {}
    for verdicts in found.pairs:
        a, b = sorted((verdicts[0]["first"], verdicts[0]["second"]))
        share = share_of(verdicts, a)
        one, two = found.first(a), found.first(b)  # what is known of either of two equal candidates is known of both
        if share is not None and one != two:
            shares[min(one, two), max(one, two)] = share if one < two else 1 - share
    strength = strengths(shares)
    if len(set(strength.values())) < 2:
        return "tie" if strength else found.unranked()
    order = sorted(strength)
    return max(order, key=strength.__getitem__), min(order, key=strength.__getitem__)


def _random(found: Evidence) -> Choice:
    order = sorted(distinct(found.made), key=found.drawn)
    return (order[0], order[1]) if len(order) > 1 else found.alike()


CONSTRUCTIONS: dict[str, Callable[[Evidence], Choice]] = {
    "pair_point": _pair_point,
    "pair": _pair,
    "bradley_terry": _bradley_terry,
    "point": _point,
    "best_of": _best_of,
    "random": _random,
}
"""By `PairsConfig.construction`."""


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


def _by_place(comparison: Comparison, verdict: dict[str, Any]) -> Comparison:
    """Lets the candidate shown first win a pair that the judge called a tie."""
    if comparison.result != "tie" or verdict["reason"] == EQUAL:
        return comparison
    return Comparison("win", verdict["first"], verdict["second"])


def sift(row: dict[str, Any], config: PairsConfig) -> dict[str, Any]:
    """The pair columns of a `schema.SIFTED_SET` row from a `schema.JUDGED_SET` row.

    Who is chosen and rejected is said at `PairsConfig.construction`; of equal scores the lower index is taken. A
    candidate without a point score can be neither where point scores decide, and there the row is kept only if
    chosen - rejected is greater than `min_margin`.
    """
    scores = {v["index"]: v["score"] for v in row["point_verdicts"] if v["outcome"] == "score"}
    verdicts = [v for v in row["pair_verdicts"] if config.orders == "asked" or v["first"] < v["second"]]
    groups = by_pair(verdicts)
    comparisons = [compare(group) for group in groups]
    results = [c.result for c in comparisons]
    if config.ties == "point":
        comparisons = [
            _by_point(c, g[0]["first"], g[0]["second"], scores) for c, g in zip(comparisons, groups, strict=True)
        ]
    elif config.ties == "first":
        comparisons = [_by_place(c, g[0]) for c, g in zip(comparisons, groups, strict=True)]
    evidence = Evidence(row, scores, groups, comparisons, results)
    columns: dict[str, Any] = {
        "pair_id": digest("pair", row["prompt_id"], row["sampler_digest"], row["judge_digest"]),
        "chosen": None,
        "rejected": None,
        "chosen_score": None,
        "rejected_score": None,
        "margin": None,
        "dropped": None,
        "winners": evidence.winners,
        "losers": evidence.losers,
        "pairs_asked": len(groups),
        "orders_agreed": sum(len(g) > 1 and r in ("win", "tie") for g, r in zip(groups, results, strict=True)),
        "first_preferred": sum(v["outcome"] == "first" for v in verdicts),
    }
    return columns | _chosen(evidence, config)


def _chosen(found: Evidence, config: PairsConfig) -> dict[str, Any]:
    choice = CONSTRUCTIONS[config.construction](found)
    if isinstance(choice, str):
        return {"dropped": choice}
    high, low = (found.scores.get(i) for i in choice)
    margin = None if high is None or low is None else high - low
    columns = {"chosen_score": high, "rejected_score": low, "margin": margin}
    if config.construction in BY_SCORE and not (margin is not None and margin > config.min_margin):
        return {**columns, "dropped": "no_margin"}
    candidates = {c["index"]: c for c in found.row["candidates"]}
    return {**columns, "chosen": candidates[choice[0]], "rejected": candidates[choice[1]]}


def last_place(kept: Iterable[str], keep: int) -> str | None:
    """The place of the last of `keep` prompts, None if there is room for all. kept: prompt ids that gave a pair.

    Places are hashes of prompt ids, so that sets of pairs of one size, however they were made, are about the same
    prompts as far as they can be.
    """
    places = sorted(map(_place, kept))
    return places[keep - 1] if len(places) > keep else None


def within(columns: dict[str, Any], prompt_id: str, last: str | None) -> dict[str, Any]:
    """The columns of `sift`, dropped as surplus if the prompt comes after the last place."""
    if last is None or columns["dropped"] is not None or _place(prompt_id) <= last:
        return columns
    return columns | {"chosen": None, "rejected": None, "dropped": SURPLUS}


def _place(prompt_id: str) -> str:
    return digest("place", prompt_id)

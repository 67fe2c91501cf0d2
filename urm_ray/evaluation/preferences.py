"""How well a judge agrees with held-out human preferences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from urm_ray.evaluation.metrics import Figure, share, spearman
from urm_ray.judge.scorer import Item, JudgeScorer

_TOGETHER = 64
"""Rows whose pictures and clips are in memory at the same time."""


def ask_preferences(scorer: JudgeScorer, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the judge says to `schema.PREFERENCE` rows, a pair in both orders.

    Each row gives {preference_id, kind, label, score, outcomes, p_first, p_second, p_tie, judged}: probabilities are
    means over both orders, turned back to the row's own order; judged is the point score, on the row's scale where the
    protocol knows it. None without an answer.
    """
    parts = [rows[start : start + _TOGETHER] for start in range(0, len(rows), _TOGETHER)]
    return [result for part in parts for result in _ask_together(scorer, part)]


def _ask_together(scorer: JudgeScorer, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    items, owners = [], []
    for number, row in enumerate(rows):
        item = Item.of(row, scorer.sampling, scorer.protocol.form_of(row))
        orders = [item, item.swapped()] if row["kind"] == "pair" else [item]
        items += orders
        owners += [number] * len(orders)
    answers: list[list[Any]] = [[] for _ in rows]
    for owner, verdict in zip(owners, scorer.ask(items), strict=True):
        answers[owner].append(verdict)
    results = []
    for row, verdicts in zip(rows, answers, strict=True):
        result = {name: row[name] for name in ("preference_id", "task", "kind", "label", "score")}
        result |= {
            "outcomes": [v.outcome for v in verdicts],
            "p_first": None,
            "p_second": None,
            "p_tie": None,
            "judged": None,
        }
        if row["kind"] == "point":
            result["judged"] = verdicts[0].score
        elif all(v.p_first is not None for v in verdicts):
            one, two = verdicts
            result |= {
                "p_first": (one.p_first + two.p_second) / 2,
                "p_second": (one.p_second + two.p_first) / 2,
                "p_tie": (one.p_tie + two.p_tie) / 2,
            }
        results.append(result)
    return results


def agreement(results: Sequence[dict[str, Any]], seed: int, resamples: int) -> dict[str, Figure | int]:
    """Figures over the results of `ask_preferences`.

    pair_accuracy: human ties left out; right if the preferred candidate has the higher probability (two ways, ties
    aside). pair_accuracy_strict: the same pairs, but a judge's tie is wrong. tie_accuracy: human ties that the judge
    calls ties. order_agreement: pairs with the same verdict in both orders. An unanswered pair is wrong everywhere.
    point_spearman: rank correlation with the human scores; unanswered points are left out and counted in `unparsed`.
    """
    pairs = [r for r in results if r["kind"] == "pair"]
    decided = [r for r in pairs if r["label"] in ("first", "second")]
    points = [r for r in results if r["kind"] == "point"]
    answered = [r for r in points if r["judged"] is not None]
    return {
        "pair_accuracy": share(sum(map(right, decided)), len(decided)),
        "pair_accuracy_strict": share(sum(_choice(r, True) == r["label"] for r in decided), len(decided)),
        "tie_accuracy": share(
            sum(_choice(r, True) == "tie" for r in pairs if r["label"] == "tie"), len(pairs) - len(decided)
        ),
        "order_agreement": share(sum(_agree(r["outcomes"]) for r in pairs), len(pairs)),
        "point_spearman": spearman([r["judged"] for r in answered], [r["score"] for r in answered], seed, resamples),
        "unparsed": sum(r["p_first"] is None for r in pairs) + len(points) - len(answered),
    }


def right(result: dict[str, Any]) -> bool:
    """Whether the judge found the candidate that people preferred, with no tie to resort to."""
    return _choice(result, False) == result["label"]


def _choice(result: dict[str, Any], with_ties: bool) -> str | None:
    names = ("first", "second", "tie") if with_ties else ("first", "second")
    chances = {name: result[f"p_{name}"] for name in names}
    if any(p is None for p in chances.values()):
        return None
    best = [name for name in names if chances[name] == max(chances.values())]
    return best[0] if len(best) == 1 else None  # between equals it has not chosen, as a judge that goes by place alone


def _agree(outcomes: Sequence[str]) -> bool:
    mirrored = {"first": "second", "second": "first", "tie": "tie"}
    return len(outcomes) == 2 and outcomes[0] in mirrored and mirrored[outcomes[0]] == outcomes[1]

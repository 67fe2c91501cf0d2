"""How well a judge agrees with held-out human preferences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from urm_ray.evaluation.metrics import Figure, calibration_error, share, spearman
from urm_ray.judge.item import Item
from urm_ray.judge.scorer import JudgeScorer

_MIRRORED = {"first": "second", "second": "first", "tie": "tie"}
_TOGETHER = 64
"""Rows whose pictures and clips are in memory at the same time."""


def ask_preferences(scorer: JudgeScorer, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the judge says to `schema.PREFERENCE` rows, a pair in both orders.

    Each row gives {preference_id, task, kind, label, score, outcomes, p_first, p_second, p_tie, judged, texts,
    reasons}: outcomes as they were given, a pair's in the row's order and then swapped; probabilities are means over
    both orders, turned back to the row's own order; judged is the point score, on the row's scale where the protocol
    knows it; texts are what was decoded. None without an answer, for which `reasons` say why, and where a judge gives
    no such thing.
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
        said = {name: [getattr(v, name) for v in verdicts] for name in ("outcome", "text", "reason")}
        result = unanswered(row) | {f"{name}s": values for name, values in said.items()}
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


def unanswered(row: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """The result of a row that no judge was asked about, or none could answer, and why."""
    count = 2 if row["kind"] == "pair" else 1
    result = {name: row[name] for name in ("preference_id", "task", "kind", "label", "score")}
    nothing = dict.fromkeys(("p_first", "p_second", "p_tie", "judged"))
    return result | {"outcomes": ["unparsed"] * count, **nothing, "texts": [None] * count, "reasons": [reason] * count}


def agreement(results: Sequence[dict[str, Any]], seed: int, resamples: int) -> dict[str, Figure | int]:
    """Figures over the results of `ask_preferences`.

    pair_accuracy: human ties left out; right if the preferred candidate has the higher probability (two ways, ties
    aside). pair_accuracy_strict: the same pairs, but a judge's tie is wrong. tie_accuracy: human ties that the judge
    calls ties. order_agreement: pairs with the same verdict in both orders. An unanswered pair is wrong everywhere.
    Where answers were decoded there are no probabilities: the verdict is the one of both orders, a tie where they
    disagree, and a tie is wrong in both accuracies.
    calibration_error: of the probability of the likeliest of first, second and tie, over all pairs that have them.
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
        "order_agreement": share(sum(map(_agree, pairs)), len(pairs)),
        "calibration_error": calibration_error([c for r in pairs if (c := _confidence(r))], seed, resamples),
        "point_spearman": spearman([r["judged"] for r in answered], [r["score"] for r in answered], seed, resamples),
        "unparsed": sum(_calls(r) is None for r in pairs) + len(points) - len(answered),
    }


def right(result: dict[str, Any]) -> bool:
    """Whether the judge found the candidate that people preferred, with no tie to resort to."""
    return _choice(result, False) == result["label"]


def _choice(result: dict[str, Any], with_ties: bool) -> str | None:
    """first, second or tie; None without an answer, or where nothing is chosen."""
    calls = _calls(result)
    if calls is None:
        return None
    names = ("first", "second", "tie") if with_ties else ("first", "second")
    chances = {name: result[f"p_{name}"] for name in names}
    if any(p is None for p in chances.values()):
        return calls[0] if calls[0] == calls[1] else "tie"
    best = [name for name in names if chances[name] == max(chances.values())]
    return best[0] if len(best) == 1 else None  # between equals it has not chosen, as a judge that goes by place alone


def _confidence(result: dict[str, Any]) -> tuple[float, bool] | None:
    """The probability of the likeliest label and whether it is the human one; None without probabilities."""
    chances = {name: result[f"p_{name}"] for name in ("first", "second", "tie")}
    if any(p is None for p in chances.values()):
        return None
    return max(chances.values()), _choice(result, True) == result["label"]


def _calls(result: dict[str, Any]) -> tuple[str, str] | None:
    """The verdicts of both orders in the row's own, None unless both are answers."""
    outcomes = result["outcomes"]
    if len(outcomes) != 2 or any(outcome not in _MIRRORED for outcome in outcomes):
        return None
    return outcomes[0], _MIRRORED[outcomes[1]]


def _agree(result: dict[str, Any]) -> bool:
    calls = _calls(result)
    return calls is not None and calls[0] == calls[1]

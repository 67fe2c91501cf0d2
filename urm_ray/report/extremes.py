"""Preference pairs with the largest and the smallest margins, and why they came to be."""

from __future__ import annotations

from typing import Any

from urm_ray.report.charts import stacked
from urm_ray.report.markup import Html, el, join
from urm_ray.report.pictures import asked, shown, size_class
from urm_ray.report.selection import extremes, rows_of
from urm_ray.report.summary import Sources
from urm_ray.report.wording import number, words

_COLUMNS = ["prompt", "context", "chosen", "rejected", "chosen_score", "rejected_score", "margin", "pair_verdicts"]
_SAID = {("first", True): "better", ("second", False): "better", ("first", False): "worse", ("second", True): "worse"}
"""A decoded verdict, by its outcome and whether the candidate was shown first."""


def _verdict(verdict: dict[str, Any], index: int, kind: str) -> Html:
    """One verdict from the side of candidate `index`: the chances that it, neither or its neighbour is better, or in a
    word what was decoded."""
    first = verdict["first"] == index
    order = el("span", "shown first" if first else "shown second", class_="order")
    chances = [verdict["p_first"], verdict["p_tie"], verdict["p_second"]][:: 1 if first else -1]
    if any(p is None for p in chances):
        said = words(_SAID.get((verdict["outcome"], first), verdict["outcome"]))
        return el("div", order, el("span", said, class_="unanswered"), class_="verdict")
    other = verdict["second"] if first else verdict["first"]
    names = (f"candidate {index} is better", "tie", f"candidate {other} is better")
    kinds = (kind, "tie", "other")
    drawn = stacked([(p, k, n) for p, k, n in zip(chances, kinds, names, strict=True)])
    return el("div", order, drawn, el("span", number(chances[0], digits=2), class_="chance"), class_="verdict")


def _side(row: dict[str, Any], side: str) -> Html:
    candidate, score = row[side], row[f"{side}_score"]
    index = candidate["index"]
    asked = [v for v in row["pair_verdicts"] if index in (v["first"], v["second"])]
    asked.sort(key=lambda v: v["first"] != index)
    others = sorted({v["second"] if v["first"] == index else v["first"] for v in asked})
    against = f"candidate {index} against {', '.join(map(str, others)) or 'none'}"
    return el(
        "figure",
        shown(candidate, f"{side}: {row['prompt']}"),
        el("figcaption", el("span", side, class_=f"side {side}"), el("span", number(score, digits=2), class_="rating")),
        el("div", el("small", against), *[_verdict(v, index, side) for v in asked], class_="verdicts"),
    )


def _card(row: dict[str, Any]) -> Html:
    margin = el("p", "margin ", el("strong", number(row["margin"], digits=2)), class_="margin")
    sides = el("div", _side(row, "chosen"), _side(row, "rejected"), class_="duo")
    return el("article", asked(row), margin, sides, class_="pair")


_CHOSEN = {
    "pair_point": "Chosen is the best point score among the candidates that won a pair, rejected the worst among those "
    "that lost one",
    "pair": "Chosen and rejected won and lost a pair that was drawn by a hash",
    "bradley_terry": "Chosen is the strongest candidate by all its pairs, rejected the weakest",
    "point": "Chosen is the best point score of all candidates, rejected the worst",
    "best_of": "Chosen is the best point score of all candidates, rejected another that was drawn by a hash",
    "random": "Chosen and rejected were drawn by a hash, whatever the judge says",
}


def pairs_section(sources: Sources, task: str) -> Html:
    """`report.pairs` kept pairs each with the largest and the smallest margin."""
    stage = sources.of("pairs", task)
    best, worst = extremes(stage, task, sources.config.report.pairs)
    if not best:
        return el("p", "No pair is shown: none was asked for, or none was kept that has point scores.", class_="none")
    rows = rows_of(stage, "sifted", {*best, *worst}, _COLUMNS)
    note = (
        f"{_CHOSEN[sources.config.pairs.construction]}; the margin is the difference of their point scores. "
        "Under each candidate: the judge's probabilities for its own pairs, in each order that was asked. The number "
        "is the chance that this candidate is the better one; grey is a tie, pale the other."
    )
    kind = size_class([row[side] for row in rows.values() for side in ("chosen", "rejected")])
    kinds = " ".join(filter(None, ("pairs", kind)))
    groups = [
        join([el("h4", title), el("div", *[_card(rows[i]) for i in ids], class_=kinds)])
        for title, ids in (("Largest margins", best), ("Smallest margins", worst))
        if ids
    ]
    return el("div", el("p", note, class_="note"), *groups)

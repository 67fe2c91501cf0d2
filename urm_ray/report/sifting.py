"""What became of the prompts, and how steady the judge was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urm_ray.report.charts import Mark, bar, stacked, whiskers
from urm_ray.report.markup import Html, el
from urm_ray.report.selection import outcomes
from urm_ray.report.summary import Sources
from urm_ray.report.wording import count, duration, interval, number, percent, value_of, words

REASONS = {
    "kept": "gave a preference pair",
    "tie": "the judge called its pairs ties",
    "order_disagreement": "the verdict changed with the order of the candidates",
    "unparsed": "the judge gave no answer that counts",
    "media_error": "a candidate could not be made or read",
    "no_margin": "the winner's point score is not far enough above the loser's",
    "surplus": "there were pairs enough without it",
}
_OUTCOMES = {"first": "shown first", "tie": "tie", "second": "shown second"}


def bars(rows: list[tuple[str, str, float, str, str, str]]) -> Html:
    """Rows (name, explanation, share of the width, CSS class, value, share in words) as horizontal bars."""
    drawn = [
        el(
            "tr",
            el("th", name, el("small", explained) if explained else None, scope="row"),
            el("td", bar(width, kind), class_="drawn"),
            el("td", value, class_="value"),
            el("td", share, class_="share"),
        )
        for name, explained, width, kind, value, share in rows
    ]
    return el("table", el("tbody", *drawn), class_="bars")


def dropped_bars(pairs: Mapping[str, Any]) -> Html:
    """Kept prompts and each reason for dropping one, by count."""
    reasons = sorted(pairs["dropped"].items(), key=lambda item: (-item[1], item[0]))
    numbers = [("kept", pairs["kept"]), *reasons]
    longest = max([n for _, n in numbers], default=0) or 1
    return bars(
        [
            (
                words(name),
                REASONS.get(name, ""),
                n / longest,
                "chosen" if name == "kept" else "rejected",
                count(n),
                percent(n, pairs["prompts"]),
            )
            for name, n in numbers
        ]
    )


def _steadiness(name: str, figure: Mapping[str, Any] | None, reference: float | None, explained: str) -> Html:
    value = el("p", number(value_of(figure)), el("small", f" {interval(figure)}"), class_="big")
    drawn = whiskers([Mark(name, "after", figure)], (0.0, 1.0), reference)
    return el("div", el("h4", name), value, drawn, el("p", explained, class_="note"), class_="steady")


def sifting_section(sources: Sources, task: str, pairs: Mapping[str, Any]) -> Html:
    """Kept and dropped prompts, and what the judge's verdicts owe to the order in which the candidates were shown."""
    found = outcomes(sources.of("pairs", task), task)
    shown = [(found.get(name, 0), f"outcome-{name}", title) for name, title in _OUTCOMES.items()]
    rest = sum(n for name, n in found.items() if name not in _OUTCOMES)
    shown.append((rest, "outcome-none", "no answer"))
    both = sources.config.pairs.compares_orders
    others = "left to the point scores" if sources.config.pairs.ties == "point" else "not used"
    if sources.config.pairs.construction == "bradley_terry":
        others = "shared between both"
    agreement = (
        f"Share of compared pairs with the same verdict after both candidates changed places; the others are {others}."
        if both
        else "Not measured: this run goes by one order of each pair."
    )
    bias = (
        "Share of verdicts for the candidate shown first; the dashed line is where it would be without position bias, "
        "as often as the candidate shown second."
    )
    total = sum(found.values())
    fair = (found.get("first", 0) + found.get("second", 0)) / (2 * total) if total else None
    named = [
        el("span", el("i", class_=f"swatch {kind}"), f"{title} {percent(n, total)}") for n, kind, title in shown if n
    ]
    lead = f"{count(pairs['kept'])} of {count(pairs['prompts'], 'prompt')} gave a preference pair."
    return el(
        "div",
        el("p", lead, class_="lead"),
        dropped_bars(pairs),
        el(
            "div",
            _steadiness("Order agreement", pairs["order_agreement"] if both else None, None, agreement),
            _steadiness("First preferred", pairs["first_preferred"], fair, bias),
            class_="steadiness",
        ),
        el("div", stacked(shown), el("p", *named, class_="legend"), class_="outcomes") if total else None,
    )


def time_section(sources: Sources, seconds: Mapping[str, Any]) -> Html:
    """Seconds and share of every stage, in the order in which they ran."""
    spent = {name: seconds["stages"][name] for name in sources.stages if name in seconds["stages"]}
    longest = max(spent.values(), default=0.0) or 1.0
    rows = [(name, "", s / longest, "time", duration(s), percent(s, seconds["total"])) for name, s in spent.items()]
    lead = el("p", f"{duration(seconds['total'])} in total, time before an interruption included.", class_="lead")
    return el("div", lead, bars(rows))

"""Held-out prompts with what the policy makes of them before and after."""

from __future__ import annotations

from typing import Any

from urm_ray.report.markup import Html, el
from urm_ray.report.pictures import asked, shown, size_class
from urm_ray.report.selection import CHANGES, Change, changes, rows_of, spread
from urm_ray.report.summary import Sources
from urm_ray.report.wording import count, number, words


def rating(value: float, binary: bool) -> Html:
    """The headline figure of one candidate: a mark where it can only be right or wrong, else its value."""
    if not binary:
        return el("span", number(value, digits=2), class_="rating")
    sign, word, kind = ("✓", "right", "good") if value else ("✗", "wrong", "bad")
    return el("span", el("span", sign, class_="mark", aria_hidden="true"), word, class_=f"rating {kind}")


def _candidate(rows: dict[str, dict[str, Any]], change: Change) -> dict[str, Any] | None:
    found = rows[change.prompt_id]["candidates"]
    return next((c for c in found if c["index"] == change.index), None)


def _card(change: Change, row: dict[str, Any], pair: list[dict[str, Any] | None], binary: bool) -> Html:
    sides = [
        el("figure", shown(c, f"{name}: {change.prompt}"), el("figcaption", name, rating(value, binary)))
        for name, c, value in zip(("before", "after"), pair, (change.before, change.after), strict=True)
    ]
    parts = [el("div", *sides, class_="duo"), asked(row)]
    chip = el("span", change.name, class_=f"chip {change.name}")
    return el("article", *(parts[::-1] if row["context"] else parts), chip)


def grid_section(sources: Sources, task: str, headline: str) -> Html:
    """`report.grid` prompts with their candidates, spread over what improved, stayed and got worse."""
    config = sources.config
    stages = {"before": sources.of("baseline", task), "after": sources.of("evaluate", task)}
    found = changes(stages, task, headline)
    chosen = spread(found, config.report.grid, config.run.seed)
    if not chosen:
        return el("p", "No prompt is shown: none was asked for, or none was rated on both sides.", class_="none")
    ids = {c.prompt_id for c in chosen}
    before, after = (rows_of(s, part, ids, ["prompt", "context", "candidates"]) for part, s in stages.items())
    pairs = [[_candidate(before, c), _candidate(after, c)] for c in chosen]
    binary = all(value in (0.0, 1.0) for c in found for value in (c.before, c.after))
    cards = [_card(c, after[c.prompt_id], pair, binary) for c, pair in zip(chosen, pairs, strict=True)]
    tally = {name: sum(c.name == name for c in found) for name in CHANGES}
    note = (
        f"Of {count(len(found), 'held-out prompt')}, {count(tally['improved'])} improved by “{words(headline)}”, "
        f"{count(tally['unchanged'])} stayed as they were and {count(tally['worse'])} got worse on their first seed. "
        "The prompts below are not picked by hand: each kind has places by its share (one at least), filled by a draw "
        "on a hash of the prompt's id and the run's seed. Both candidates of a prompt come from the same seed."
    )
    kinds = " ".join(filter(None, ("grid", size_class([c for pair in pairs for c in pair]))))
    return el("div", el("p", note, class_="note"), el("div", *cards, class_=kinds))

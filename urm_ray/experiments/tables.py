"""What experiments found, as experiments.json and as the tables of experiments.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from urm_ray.experiments.variants import Experiment, Finding
from urm_ray.report.wording import count, duration, interval, interval_of, number, sentence, value_of

Found = Mapping[int, Sequence[Finding]]
"""Findings by the number of the experiment; one that is not done has none."""


def as_json(experiments: Sequence[Experiment], found: Found) -> list[dict[str, Any]]:
    """Experiments that are done: number, title, note and findings {variant, figure, value, ci95, n, paper}."""
    return [
        {
            "number": e.number,
            "title": e.title,
            "note": e.note,
            "findings": [
                {"variant": f.row, "figure": f.name, **f.figure, "paper": e.paper.get(f.row)} for f in found[e.number]
            ],
        }
        for e in experiments
        if e.number in found
    ]


def as_markdown(experiments: Sequence[Experiment], found: Found, seconds: float) -> str:
    """A table for each experiment that is done: a row a variant, a column a figure with its interval and n."""
    parts = [_table(e, found[e.number]) for e in experiments if e.number in found]
    spent = f"All stages together took {duration(seconds)}. Brackets hold 95% intervals.\n"
    return "\n".join([*parts, spent])


def _table(experiment: Experiment, findings: Sequence[Finding]) -> str:
    rows = list(dict.fromkeys(f.row for f in findings))
    names = list(dict.fromkeys(f.name for f in findings))
    cells = {(f.row, f.name): _cell(f) for f in findings}
    lines = [["", *map(sentence, names), "Paper"], ["---"] * (len(names) + 2)]
    lines += [
        [sentence(row), *[cells.get((row, name), "") for name in names], experiment.paper.get(row, "")] for row in rows
    ]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{experiment.number}. {experiment.title}.** {experiment.note}\n\n{drawn}\n"


def _cell(found: Finding) -> str:
    if interval_of(found.figure) is None:
        return "" if found.figure["value"] is None else count(found.figure["value"])
    value = number(value_of(found.figure), found.signed)
    return f"{value} ({interval(found.figure, found.signed)}), n {count(found.figure['n'])}"

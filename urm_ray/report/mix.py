"""What the judge learned from: how much of each kind, and each task's share against the one that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urm_ray.report.charts import bar
from urm_ray.report.markup import Html, el
from urm_ray.report.wording import NONE, count, percent, words

_HEADS = ["Task", "Kind", "Source", "Scale", "Dimension", "Rows", "Examples", "Share", "Ties", "With rationale"]
_NAMES = ("task", "kind", "source", "scale", "dimension")


def mix_section(mix: Mapping[str, Any]) -> Html:
    """The counts that were taken before the training (`mix_report`), by task and by kind of row."""
    note = (
        f"One pass holds {count(mix['examples'], 'example')}: a pair is two of them, one for each order, and a task "
        "with few rows is repeated until it has the share that the settings ask for. Ties and rationales are counted "
        "in rows."
    )
    return el(
        "section",
        el("h3", "What it learned from"),
        el("p", note, class_="note"),
        _tasks(mix["tasks"]),
        el("div", _groups(mix["groups"]), class_="scroll"),
        id="judge-mix",
    )


def _tasks(tasks: Mapping[str, Mapping[str, Any]]) -> Html:
    rows = [
        el(
            "tr",
            el("th", words(name), el("small", _repeated(task)), scope="row"),
            el("td", bar(task["share"], "chosen"), class_="drawn"),
            el("td", percent(task["share"], 1), class_="value"),
            el("td", f"asked {percent(task['weight'], 1)}", class_="share"),
        )
        for name, task in tasks.items()
    ]
    return el("table", el("tbody", *rows), class_="bars")


def _repeated(task: Mapping[str, Any]) -> str:
    times = "" if task["repeats"] == 1 else f", each {task['repeats']:g} times"
    return f"{count(task['rows'], 'row')}{times}: {count(task['examples'], 'example')}"


def _groups(groups: list[Mapping[str, Any]]) -> Html:
    rows = []
    for group in groups:
        named = [el("td", words(group[name]) if group[name] is not None else NONE) for name in _NAMES]
        numbers = [count(group["rows"]), count(group["examples"]), percent(group["share"], 1)]
        numbers += [count(group["ties"]), count(group["rationales"])]
        rows.append(el("tr", *named, *[el("td", n, class_="value") for n in numbers]))
    head = [el("th", h, scope="col", class_="value" if i >= len(_NAMES) else None) for i, h in enumerate(_HEADS)]
    return el("table", el("thead", el("tr", *head)), el("tbody", *rows), class_="counts")

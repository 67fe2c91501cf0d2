"""Curves of both trainings."""

from __future__ import annotations

import math
from typing import Any

from urm_ray import store
from urm_ray.config_training import Task
from urm_ray.report.charts import Series, legend, line_chart
from urm_ray.report.markup import Html, el, join
from urm_ray.report.summary import Sources

History = list[dict[str, Any]]


def curve(history: History, field: str, name: str, kind: str) -> Series:
    """A field of the log over the steps, where it was logged."""
    return Series(name, kind, [(e["step"], e[field]) for e in history if e.get(field) is not None])


def _chart(title: str, note: str, series: list[Series], y: str, reference: tuple[float, str] | None = None) -> Html:
    head = el("figcaption", el("strong", title), el("small", note), legend(series) if len(series) > 1 else None)
    return el("figure", head, line_chart(title, series, "step", y, reference), class_="chart")


def waiting(history: History) -> Html | None:
    """How much of their time the workers of a training waited for data; nothing where it was not measured."""
    logged = [(entry["step"], entry["waiting"]) for entry in history if "waiting" in entry]
    if not logged:
        return None
    later = [share for _, share in logged[1:]] or [logged[0][1]]
    step, first = logged[0]
    return el(
        "p",
        f"Workers waited for data for {sum(later) / len(later):.1%} of their time ({max(later):.1%} at most between "
        f"two logs, that of the worker which waited longest; {first:.1%} up to step {step}, while everything started).",
        class_="note",
    )


def reward_curves(history: History) -> Html:
    return el(
        "div",
        _chart(
            "Reward loss",
            "supervised training of the base model into the judge",
            [curve(history, "loss", "loss", "winner")],
            "loss",
        ),
        class_="charts",
    )


def dpo_curves(history: History, plain: bool) -> Html:
    """DPO loss, how far both sides have gone from the reference, and the pairs that are told apart.

    plain: whether the loss is DPO's alone, which starts at ln 2.
    """
    answers = any("rewards/chosen" in entry for entry in history)
    return el(
        "div",
        _chart(
            "DPO loss",
            "below ln 2 the policy prefers the chosen candidates more than its reference does"
            if plain
            else "the configuration asks for more or other losses than DPO alone",
            [curve(history, "loss", "loss", "winner")],
            "loss",
            (math.log(2), "ln 2") if plain else None,
        ),
        _rewards(history) if answers else _errors(history),
        _chart(
            "DPO accuracy",
            "share of pairs whose winner gained more on the reference than its loser",
            [curve(history, "rewards/accuracies" if answers else "accuracy", "accuracy", "winner")],
            "share of pairs",
            (0.5, "chance"),
        ),
        class_="charts",
    )


def _errors(history: History) -> Html:
    """Of a diffusion policy."""
    return _chart(
        "Denoising error relative to the reference",
        "error / reference error \N{MINUS SIGN} 1: the loser's should rise above the winner's",
        [curve(history, "winner_excess", "winner", "winner"), curve(history, "loser_excess", "loser", "loser")],
        "relative error",
        (0.0, "reference"),
    )


def _rewards(history: History) -> Html:
    """Of a policy that answers."""
    return _chart(
        "Implicit rewards",
        "beta times the gain in log-probability on the reference: the winner's should rise above the loser's",
        [curve(history, "rewards/chosen", "winner", "winner"), curve(history, "rewards/rejected", "loser", "loser")],
        "reward",
        (0.0, "reference"),
    )


def training_section(sources: Sources, task: Task) -> Html:
    history = store.read_json(sources.of("dpo", task).path("history.json"))
    return join([dpo_curves(history, sources.config.dpo(task).plain), waiting(history)])


def judge_training(sources: Sources) -> Html:
    history = store.read_json(sources.stages["reward"].path("history.json"))
    return join([reward_curves(history), waiting(history)])

"""The report as one HTML file that asks for nothing else: style, charts and pictures are inside."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from urm_ray.report.extremes import pairs_section
from urm_ray.report.gallery import grid_section
from urm_ray.report.header import hero, what_was_run
from urm_ray.report.markup import Html, el, join
from urm_ray.report.sifting import sifting_section, time_section
from urm_ray.report.summary import Sources
from urm_ray.report.tables import judge_section, policy_section
from urm_ray.report.training import judge_training, training_section
from urm_ray.report.wording import words

# The browser itself enforces that the page loads nothing and runs nothing.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def _section(name: str, title: str, *content: Html) -> Html:
    return el("section", el("h2", title), *content, id=name)


def _by_task(figures: dict[str, Any], content: Callable[[str, dict[str, Any]], Html]) -> Html:
    """Content of every task, under its name where there are several."""
    several = len(figures["tasks"]) > 1
    parts = []
    for name, task in figures["tasks"].items():
        parts += [el("h3", words(name), class_="task") if several else None, content(name, task)]
    return join(parts)


def render_page(sources: Sources, figures: dict[str, Any]) -> str:
    """The whole page of a finished run. figures: `summary` of the same sources. Equal runs give equal bytes."""
    config = sources.config
    title = config.report.title
    scorer: dict[str, str] = {task: config.policy(task).evaluate.scorer for task in config.tasks}
    sections = [
        _section(
            "figures",
            "Figures",
            _by_task(
                figures, lambda name, t: join([judge_section(t["judge"]), policy_section(t["policy"], scorer[name])])
            ),
        ),
        _section(
            "training",
            "Training",
            judge_training(sources),
            _by_task(figures, lambda name, _: training_section(sources, name)),
        ),
        _section(
            "prompts",
            "Before and after",
            _by_task(figures, lambda name, t: grid_section(sources, name, t["policy"]["headline"])),
        ),
        _section("pairs", "Best and worst pairs", _by_task(figures, lambda name, _: pairs_section(sources, name))),
        _section(
            "sifting",
            "Where prompts were dropped",
            _by_task(figures, lambda name, t: sifting_section(sources, name, t["pairs"])),
        ),
        _section("time", "Time", time_section(sources, figures["seconds"])),
    ]
    body = el(
        "body",
        el(
            "header",
            el("p", f"urm_ray · {', '.join(map(words, figures['tasks']))}", class_="over"),
            el("h1", title),
            _by_task(figures, lambda name, t: hero(t["policy"], scorer[name])),
            what_was_run(sources, figures),
        ),
        el("main", *sections),
    )
    style = Html(files("urm_ray.report").joinpath("style.css").read_text("utf-8"))
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("style", style),
    )
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"

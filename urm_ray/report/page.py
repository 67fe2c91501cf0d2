"""The report as one HTML file that asks for nothing else: style, charts and pictures are inside."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from urm_ray.config_training import Task
from urm_ray.report.extremes import pairs_section
from urm_ray.report.gallery import grid_section
from urm_ray.report.header import hero, task_facts, unfinished, what_was_run
from urm_ray.report.markup import Html, el
from urm_ray.report.mix import mix_section
from urm_ray.report.sifting import sifting_section, time_section
from urm_ray.report.summary import Sources
from urm_ray.report.tables import judge_section, policy_section
from urm_ray.report.training import judge_training, training_section
from urm_ray.report.wording import sentence, words

# The browser itself enforces that the page loads nothing and runs nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_JUDGE, _TIME = ("judge", "Training of the judge"), ("time", "Time")


def _section(name: str, title: str, *content: Html | None) -> Html:
    return el("section", el("h2", title), *content, id=name)


def _part(sources: Sources, task: Task, figures: dict[str, Any]) -> Html:
    """All about one task."""
    policy, judged, rated = sources.config.policy(task), figures["judge"], figures["policy"]
    sections: dict[str, tuple[str, *tuple[Html | None, ...]]] = {}
    if judged or rated:
        of_policy = policy_section(rated, policy.evaluate.scorer) if rated else None
        sections["figures"] = "Figures", judge_section(judged) if judged else None, of_policy
    if sources.has(task, "dpo"):
        sections["training"] = "Training of the policy", training_section(sources, task)
    if rated and sources.has(task, "baseline"):
        sections["prompts"] = "Before and after", grid_section(sources, task, rated["headline"])
    if figures["pairs"]:
        sections["pairs"] = "Best and worst pairs", pairs_section(sources, task)
        sections["sifting"] = "Where prompts were dropped", sifting_section(sources, task, figures["pairs"])
    return _section(
        task,
        sentence(task),
        task_facts(policy, figures),
        *[
            el("section", el("h3", title), *content, id=f"{task}-{name}")
            for name, (title, *content) in sections.items()
        ],
    )


def _nav(tasks: list[str], trained_judge: bool) -> Html:
    """Links to the parts, and a switch that holds the clips still without a script."""
    parts = [*[(t, sentence(t)) for t in tasks], *[_JUDGE] * trained_judge, _TIME]
    links = [el("a", title, href=f"#{name}") for name, title in parts]
    switch = el("label", el("input", type="checkbox", id="still"), "clips as frames", class_="switch")
    return el("nav", *links, switch if any(t.startswith("video") for t in tasks) else None, aria_label="parts")


def render_page(sources: Sources, figures: dict[str, Any]) -> str:
    """The whole page of a run, or of what there is of it. figures: `summary` of the same sources. Equal runs give equal
    bytes."""
    config, tasks = sources.config, figures["tasks"]
    title = f"{config.report.title} (unfinished)" if sources.missing else config.report.title
    heroes = [hero(t, tasks[t]["policy"], config.policy(t).evaluate.scorer) for t in config.tasks]
    body = el(
        "body",
        el(
            "header",
            el("p", f"urm_ray · {', '.join(map(words, tasks))}", class_="over"),
            el("h1", title),
            unfinished(sources),
            el("div", *heroes, class_="heroes"),
            what_was_run(sources, figures),
        ),
        _nav(list(tasks), sources.trained_judge),
        el(
            "main",
            *[_part(sources, task, tasks[task]) for task in config.tasks],
            _section(*_JUDGE, judge_training(sources), mix_section(figures["mix"])) if sources.trained_judge else None,
            _section(*_TIME, time_section(sources, figures["seconds"])),
        ),
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

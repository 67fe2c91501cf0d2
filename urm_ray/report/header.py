"""The top of the page: what came out of each task, and what was run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urm_ray.config_policy import PolicyConfig
from urm_ray.report.charts import Mark, domain_of, whiskers
from urm_ray.report.markup import Html, el, path
from urm_ray.report.summary import Sources
from urm_ray.report.wording import NONE, count, duration, interval, interval_of, number, sentence, value_of, words


def _reading(gain: Mapping[str, Any] | None) -> str:
    found = interval_of(gain)
    if found is None:
        return "There is no gain to report."
    low, high = found
    if low > 0:
        return "The whole interval lies above zero."
    return "The whole interval lies below zero." if high < 0 else "The interval includes zero: no change is shown."


def alarm(policy: Mapping[str, Any]) -> Html | None:
    """What is to be said where the judge's own score rose while the independent headline fell."""
    if not policy["hacking"]:
        return None
    said = f": the judge's own score rose and {words(policy['headline'])} fell, each with its whole 95% interval. "
    return el("p", el("strong", "Reward hacking"), said + "The policy has learned to please its judge.", class_="alarm")


def unfinished(sources: Sources) -> Html | None:
    """What is to be said of a run that is not finished."""
    if not sources.missing:
        return None
    done = len(sources.stages)
    said = (
        f": {done} of {count(done + len(sources.missing), 'stage')} were done when this page was made, and it shows"
        f" what they hold. Still to be done: {', '.join(sources.missing)}."
    )
    return el("p", el("strong", "Unfinished"), said, class_="unfinished")


def _value(name: str, figure: Mapping[str, Any] | None) -> Html:
    return el("span", el("small", name), el("span", number(value_of(figure)), class_=f"value {name}"), class_="end")


def hero(task: str, policy: Mapping[str, Any] | None, scorer: str) -> Html:
    """The headline figure of a task before and after, with its gain and interval; that there is none yet."""
    if policy is None:
        name = el("p", el("a", sentence(task), href=f"#{task}"), class_="of-task")
        return el("section", name, el("p", "The policy was not measured yet.", class_="note"), class_="hero")
    before, after, gain = (policy.get(name) for name in ("before", "after", "gain"))
    low = (interval_of(gain) or (0.0, 0.0))[0]
    prompts = count((gain or {}).get("n") or 0, "held-out prompt")
    return el(
        "section",
        el("p", el("a", sentence(task), href=f"#{task}"), class_="of-task"),
        el(
            "p",
            _value("before", before),
            el("span", "→", class_="arrow"),
            _value("after", after),
            el(
                "span",
                el("strong", number(value_of(gain), signed=True)),
                el("small", "95% interval"),
                el("small", interval(gain, signed=True)),
                class_="gain shown" if low > 0 else "gain",
            ),
            class_="headline",
        ),
        whiskers([Mark("before", "before", before), Mark("after", "after", after)], domain_of([before, after]), row=16),
        el(
            "p",
            el("em", words(policy["headline"])),
            ", by the independent scorer ",
            path(scorer or NONE),
            f", before and after alignment on the same {prompts} and seeds. {_reading(gain)}",
            class_="note",
        ),
        alarm(policy),
        class_="hero",
    )


def _facts(items: list[tuple[str, str | None]]) -> Html:
    return el("dl", *[el("div", el("dt", name), el("dd", value)) for name, value in items if value], class_="facts")


def task_facts(policy: PolicyConfig, task: Mapping[str, Any]) -> Html:
    """Model and sizes of a task."""
    rows, trained = task["rows"], task["training"]

    def parts(kind: str) -> str | None:
        return rows and ", ".join(f"{count(rows[f'{kind}_{part}'])} {part}" for part in ("pairs", "points"))

    prompts = rows and f"{count(rows['train_prompts'])} to train on, {count(rows['heldout_prompts'])} held out"
    return _facts(
        [
            ("Policy", path(policy.path or NONE)),
            ("Candidates per prompt", str(policy.sampler.candidates)),
            ("Preferences to train on", parts("train") if "reward" in trained else None),
            ("Preferences held out", parts("heldout") if "reward" in trained else None),
            ("Prompts", prompts),
            ("DPO steps", count(trained["dpo"]["steps"]) if "dpo" in trained else None),
        ]
    )


def what_was_run(sources: Sources, figures: Mapping[str, Any]) -> Html:
    """Settings, sizes and digests of the run."""
    config = sources.config
    aside = sum(n for task in figures["tasks"].values() for n in (task.get("quarantined") or {}).values())
    digests = [el("div", el("dt", name), el("dd", el("code", d[:12]))) for name, d in figures["digests"].items()]

    return el(
        "section",
        el("h2", "What was run"),
        _facts(
            [
                ("Seed", str(figures["seed"])),
                ("Judge, trained elsewhere", path(config.judge.path) if config.judge.path else None),
                ("Judge's base model", path(config.judge_base.path or NONE) if sources.trained_judge else None),
                ("Steps of the judge's training", count(config.reward.steps) if sources.trained_judge else None),
                ("Rows put aside", count(aside) if aside else None),
                ("Total time", duration(figures["seconds"]["total"])),
            ]
        ),
        el("details", el("summary", "Stage digests"), el("dl", *digests, class_="facts digests")),
        class_="run",
        id="run",
    )

"""A page of what there is of a run, at several points of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import TASK
from report.finished_run import Page, finished_run

from urm_ray.config_training import Task
from urm_ray.report.page import render_page
from urm_ray.report.summary import Sources, summary

TASKS: tuple[Task, ...] = (TASK, "image_understanding")


def until(sources: Sources, last: str) -> Sources:
    """As a run is that has just finished the stage `last`: what follows has no folder."""
    names = list(sources.stages)
    done = names[: names.index(last) + 1] if last else []
    for name in names[len(done) :]:
        shutil.rmtree(sources.stages[name].uri)
    return replace(sources, stages={n: sources.stages[n] for n in done}, missing=tuple(names[len(done) :]))


def page_of(sources: Sources) -> Page:
    return Page(render_page(sources, summary(sources)))


ORDER = [f"prepare-{task}" for task in TASKS] + ["reward", "judge"]
ORDER += [f"{name}-{task}" for task in TASKS for name in ("generate", "pairs", "dpo", "baseline", "evaluate")]


@pytest.mark.parametrize("last", ORDER[:-1])
def test_a_page_can_be_made_after_every_stage_and_says_what_is_missing(tmp_path: Path, last: str) -> None:
    sources = until(finished_run(tmp_path, tasks=TASKS), last)
    page = page_of(sources)
    assert (page.open, page.mismatched) == ([], [])
    assert list(sources.missing) == ORDER[ORDER.index(last) + 1 :]
    done = len(ORDER) - len(sources.missing)
    assert f"Unfinished: {done} of {len(ORDER)} stages were done when this page was made" in page.text
    assert f"Still to be done: {', '.join(sources.missing)}." in page.text
    assert "A tiny run (unfinished)" in page.text
    ids = {a["id"] for a in page.all("section") if "id" in a}
    assert {*TASKS, "run", "time"} <= ids
    assert ("judge" in ids) == ("reward" in sources.stages)
    for task in TASKS:
        has = {name for name in ("pairs", "dpo", "evaluate") if sources.has(task, name)}
        assert (f"{task}-sifting" in ids, f"{task}-training" in ids) == ("pairs" in has, "dpo" in has)
        assert (f"{task}-prompts" in ids) == ("evaluate" in has)
        assert (f"{task}-figures" in ids) == ("evaluate" in has or "judge" in sources.stages)


def test_what_is_done_looks_as_it_does_in_the_finished_page(tmp_path: Path) -> None:
    sources = finished_run(tmp_path, tasks=TASKS)
    whole = summary(sources)
    part = summary(until(sources, f"evaluate-{TASK}"))
    assert part["tasks"][TASK] == whole["tasks"][TASK]
    other = part["tasks"]["image_understanding"]
    assert (other["pairs"], other["policy"]) == (None, None)
    assert other["judge"] == whole["tasks"]["image_understanding"]["judge"]
    assert part["seconds"]["total"] < whole["seconds"]["total"]


def test_a_finished_page_does_not_call_itself_unfinished(tmp_path: Path) -> None:
    assert "nfinished" not in page_of(finished_run(tmp_path)).text

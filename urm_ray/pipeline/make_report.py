"""Stage 9: report.html and report.json in the run folder; before that, a page of what there is."""

from __future__ import annotations

from typing import Any

from urm_ray import store
from urm_ray.pipeline.run import STAGES, Run, key
from urm_ray.report.page import render_page
from urm_ray.report.summary import Sources, summary
from urm_ray.run_folder import Stage
from urm_ray.secrets import printed

UNFINISHED = "unfinished.html"
"""The page of a run that is under way, in its folder."""


def missing(run: Run) -> list[str]:
    """The names of the stages that a report lacks."""
    return [stage.name for stage in _reported(run) if not stage.done]


def _reported(run: Run) -> list[Stage]:
    """The stages that a report is of."""
    return [run.stage(*step) for step in run.steps(STAGES) if step != ("report", None)]


def make_unfinished(run: Run) -> None:
    """Writes a page of the stages that are done, beside them, and nothing else: whoever goes on with the run is not
    disturbed, and needs not be waited for. StoreError where none is done."""
    stages = _reported(run)
    done = {stage.name: stage for stage in stages if stage.done}
    if not done:
        raise store.StoreError(f"no stage is done yet in {run.folder.uri}: there is nothing to report")
    sources = Sources(done, run.config, tuple(stage.name for stage in stages if stage.name not in done))
    page = store.join(run.folder.uri, UNFINISHED)
    store.write_bytes(page, render_page(sources, summary(sources)).encode())
    print(printed(f"[report] {len(done)} of {len(stages)} stages are done: {page}"), flush=True)


def make_report(run: Run, stage: Stage) -> dict[str, Any]:
    """Writes the report beside the stages, where people look for it, and a copy of its figures into the stage."""
    steps = [step for step in run.steps(STAGES) if step != ("report", None)]
    sources = Sources({key(*step): run.finished(*step) for step in steps}, run.config)
    figures = summary(sources)
    store.write_json(stage.path("report.json"), figures)
    store.write_json(store.join(run.folder.uri, "report.json"), figures)
    store.write_bytes(store.join(run.folder.uri, "report.html"), render_page(sources, figures).encode())
    store.delete_file(store.join(run.folder.uri, UNFINISHED))
    print(printed(f"[report] {store.join(run.folder.uri, 'report.html')}"), flush=True)
    return {}

"""Stage 9: report.html and report.json in the run folder."""

from __future__ import annotations

from typing import Any

from urm_ray import store
from urm_ray.pipeline.run import STAGES, Run, key
from urm_ray.report.page import render_page
from urm_ray.report.summary import Sources, summary
from urm_ray.secrets import printed
from urm_ray.store import Stage


def make_report(run: Run, stage: Stage) -> dict[str, Any]:
    """Writes the report beside the stages, where people look for it, and a copy of its figures into the stage."""
    steps = [step for step in run.steps(STAGES) if step != ("report", None)]
    sources = Sources({key(*step): run.finished(*step) for step in steps}, run.config)
    figures = summary(sources)
    store.write_json(stage.path("report.json"), figures)
    store.write_json(store.join(run.folder.uri, "report.json"), figures)
    store.write_bytes(store.join(run.folder.uri, "report.html"), render_page(sources, figures).encode())
    print(printed(f"[report] {store.join(run.folder.uri, 'report.html')}"), flush=True)
    return {}

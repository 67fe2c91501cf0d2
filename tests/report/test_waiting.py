from report.finished_run import Page, finished_run

from urm_ray import store
from urm_ray.report.page import render_page
from urm_ray.report.summary import summary
from urm_ray.report.training import waiting


def log(*shares: float) -> list[dict[str, float]]:
    return [{"step": step, "loss": 0.5, "waiting": share} for step, share in enumerate(shares, 1)]


def test_the_start_is_told_apart_from_the_rest():
    said = waiting(log(0.9, 0.01, 0.03))
    assert "for 2.0% of their time (3.0% at most" in said
    assert "90.0% up to step 1" in said


def test_a_single_log_and_none_at_all():
    assert "for 25.0% of their time" in waiting(log(0.25))
    assert waiting([{"step": 1, "loss": 0.5}]) is None
    assert waiting([]) is None


def test_the_page_tells_it_of_both_trainings(tmp_path):
    sources = finished_run(tmp_path)
    for stage, share in ((sources.stages["reward"], 0.125), (sources.of("dpo", sources.config.tasks[0]), 0.375)):
        history = [entry | {"waiting": share} for entry in store.read_json(stage.path("history.json"))]
        store.write_json(stage.path("history.json"), history)
    page = render_page(sources, summary(sources))
    assert "waited for data for 12.5%" in page
    assert "waited for data for 37.5%" in page
    assert Page(page).open == []

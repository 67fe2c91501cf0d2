"""The page of a run whose judge was trained elsewhere."""

from pathlib import Path

from helpers import TASK
from report.finished_run import Page, finished_run

from urm_ray.report.page import render_page
from urm_ray.report.summary import Sources, summary


def test_a_page_without_a_judge_of_its_own_tells_whose_it_is(tmp_path: Path) -> None:
    trained = finished_run(tmp_path)
    stages = {name: stage for name, stage in trained.stages.items() if name not in ("reward", "judge")}
    judge = trained.config.judge.model_copy(update={"path": "lab/released-judge"})
    sources = Sources(stages, trained.config.model_copy(update={"judge": judge}))
    figures = summary(sources)
    assert figures["mix"] is figures["tasks"][TASK]["judge"] is None
    assert figures["tasks"][TASK]["policy"] == summary(trained)["tasks"][TASK]["policy"]
    text = render_page(sources, figures)
    page = Page(text)
    parts = [TASK, *[f"{TASK}-{part}" for part in ("figures", "training", "prompts", "pairs", "sifting")]]
    assert [a["id"] for a in page.all("section") if "id" in a] == ["run", *parts, "time"]
    assert {a["href"] for a in page.all("a")} <= {f"#{name}" for name in (TASK, "time")}
    assert "released-judge" in text
    for absent in ("Pair accuracy", "base model", "Preferences to train on", "Steps of the judge"):
        assert absent not in text

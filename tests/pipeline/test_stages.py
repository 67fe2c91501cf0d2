from typing import get_args

import pytest
from helpers import TASK

from urm_ray.config_file import build
from urm_ray.config_tracking import TrackingConfig
from urm_ray.config_training import Task
from urm_ray.pipeline import stages
from urm_ray.pipeline.run import STAGES, Run, key
from urm_ray.sources.registry import SourceError
from urm_ray.tracking import TrackingError

ALL_TASKS = list(get_args(Task))
SCORER = "urm_ray.scenes.oracle:Oracle"


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """The stages that were run, in order; none of them does anything."""
    names: list[str] = []

    def record(run, stage, task=None):
        names.append(stage.name)
        return {}

    for table in (stages.SHARED, stages.OF_A_TASK):
        for name in table:
            monkeypatch.setitem(table, name, record)
    return names


def run_of(tmp_path, *tasks, **scorers) -> Run:
    """A run with an independent scorer for every task, unless another one is named."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    model = {"path": str(tmp_path / "model")}
    policies = {task: model | {"evaluate": {"scorer": scorers.get(task, SCORER)}} for task in tasks}
    return Run(
        build({"run": {"dir": str(tmp_path / "run")}, "tasks": tasks, "judge_base": model, "policies": policies})
    )


@pytest.mark.parametrize("tasks", [ALL_TASKS, ["video_understanding"], ["video_generation", TASK]])
def test_every_stage_of_every_task_is_run_once(ran, tmp_path, tasks):
    run = run_of(tmp_path, *tasks)
    stages.run_stages(run, STAGES)
    assert ran == [key(*step) for step in run.steps(STAGES)]
    stages.run_stages(run, [name for name in STAGES if name != "report"])
    assert len(ran) == len(set(ran)) == 3 + 6 * len(tasks)


@pytest.mark.parametrize("names", [STAGES, ["baseline"], ["evaluate"]])
@pytest.mark.parametrize(
    ("scorer", "said"),
    [("", r"\.scorer is missing: name a scorer"), ("urm_ray.judge.scorer:JudgeScorer", ".* is the judge itself")],
)
def test_nothing_is_run_that_would_end_without_a_second_opinion(ran, tmp_path, names, scorer, said):
    run = run_of(tmp_path, TASK, "video_generation", video_generation=scorer)
    with pytest.raises(SourceError, match=rf"^policies\.video_generation\.evaluate.*{said}"):
        stages.run_stages(run, names)
    assert ran == []


def test_what_measures_no_policy_needs_no_scorer(ran, tmp_path):
    run = run_of(tmp_path, TASK, image_generation="")
    stages.run_stages(run, ["prepare", "reward", "judge", "generate", "pairs", "dpo"])
    assert len(ran) == 6


def test_a_tracker_that_cannot_be_used_is_told_before_anything_is_run(ran, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = run_of(tmp_path, TASK).config.model_copy(update={"tracking": TrackingConfig(to=["mlflow"])})
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI"):
        stages.run_stages(Run(config), STAGES)
    assert ran == []

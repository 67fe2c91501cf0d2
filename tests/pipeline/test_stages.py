from typing import get_args

import pytest
from helpers import TASK

from urm_ray.config import Task
from urm_ray.config_file import build
from urm_ray.pipeline import stages
from urm_ray.pipeline.run import STAGES, Run, key

ALL_TASKS = list(get_args(Task))


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


def run_of(tmp_path, *tasks) -> Run:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    model = {"path": str(tmp_path / "model")}
    policies = dict.fromkeys(tasks, model)
    return Run(
        build({"run": {"dir": str(tmp_path / "run")}, "tasks": tasks, "judge_base": model, "policies": policies})
    )


@pytest.mark.parametrize("tasks", [ALL_TASKS, ["video_understanding"], ["video_generation", TASK]])
def test_every_stage_of_every_task_is_run_once(ran, tmp_path, tasks):
    run = run_of(tmp_path, *tasks)
    stages.run_stages(run, STAGES)
    assert ran == [key(*step) for step in run.steps(STAGES)]
    stages.run_stages(run, [name for name in STAGES if name != "report"])
    assert len(ran) == len(set(ran)) == 3 + 4 * len(tasks)

"""What trackers show of a training is what its history holds, whether it was killed or not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tracked import Curves, mlflow_curves, mlflow_runs, tensorboard_curves, wandb_curves
from train.trainings import WorkerKiller, train_dpo, train_vlm_dpo

from urm_ray.run_folder import Stage

pytestmark = pytest.mark.train


def curves_of(history: list[dict[str, Any]]) -> Curves:
    return {f"train/{name}": [(one["step"], one[name]) for one in history] for name in history[0] if name != "step"}


def check(seen: Curves, history: list[dict[str, Any]], missing: int = 0) -> None:
    """missing: how many steps may not be there."""
    expected = curves_of(history)
    assert seen.keys() == expected.keys()
    for name, curve in seen.items():
        steps = [step for step, _ in curve]
        assert len(expected[name]) - missing <= len(steps) <= len(expected[name])
        assert len(set(steps)) == len(steps), f"{name} is there twice at a step"
        # What a step takes of its time is not the same in two runs, and what it gives is rounded otherwise.
        told, tolerance = dict(expected[name]), 1.0 if name.endswith("waiting") and missing else 1e-4
        assert dict(curve) == {step: pytest.approx(told[step], rel=1e-4, abs=tolerance) for step in steps}


def test_event_files_hold_the_history_of_a_training(ray_here: None, stage: Stage, pair_file: str) -> None:
    history = train_dpo(stage, pair_file, ["tensorboard"])
    check(tensorboard_curves(stage.uri), history)


@pytest.mark.long
def test_a_training_that_is_killed_goes_on_in_the_same_run(ray_here: None, tmp_path: Path, answer_file: str) -> None:
    stage = Stage(str(tmp_path / "killed" / "dpo-of-answers"), "dpo", "0")
    killer = WorkerKiller(stage)
    killer.start()
    tracked = ["tensorboard", "mlflow", "wandb"]
    history = train_vlm_dpo(stage, answer_file, tracked=tracked, steps=10, checkpoint_steps=2)
    assert killer.killed, "the training ended before it could be killed"
    uri = os.environ["MLFLOW_TRACKING_URI"]
    (run,) = (run for run in mlflow_runs(uri, "urm_ray") if run.info.run_name == "killed/dpo-of-answers")
    assert run.info.status == "FINISHED"
    for seen in (tensorboard_curves(stage.uri), mlflow_curves(uri, run), wandb_curves(stage.uri)):
        check(seen, history, missing=1)  # the step at which the worker died may be lost

"""A training that is killed goes on from its last checkpoint, with the loss curve of one that never was."""

from __future__ import annotations

from pathlib import Path

import pytest
from train.trainings import WorkerKiller, train_vlm_dpo

from urm_ray.run_folder import Stage

pytestmark = pytest.mark.train

LENGTH = {"steps": 10, "checkpoint_steps": 2}


def _figures(history: list[dict[str, float]]) -> list[float]:
    return [entry[name] for entry in history for name in ("step", "loss", "grad_norm", "learning_rate")]


def test_killed_training_has_the_curve_of_an_uninterrupted_one(
    ray_here: None, tmp_path: Path, answer_file: str
) -> None:
    # The other trainings are killed in tests/kills.
    whole = train_vlm_dpo(Stage(str(tmp_path / "whole"), "s", "0"), answer_file, **LENGTH)
    stage = Stage(str(tmp_path / "killed"), "s", "0")
    killer = WorkerKiller(stage)
    killer.start()
    resumed = train_vlm_dpo(stage, answer_file, **LENGTH)
    assert killer.killed, "the training ended before it could be killed"
    assert _figures(resumed) == pytest.approx(_figures(whole), rel=1e-5)
    assert not Path(stage.path("train")).exists(), "checkpoints are kept after the model is saved"

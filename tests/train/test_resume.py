"""A training that is killed goes on from its last checkpoint, with the loss curve of one that never was."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest
from train.trainings import train_vlm_dpo

from urm_ray.store import Stage

pytestmark = pytest.mark.train

LENGTH = {"steps": 10, "checkpoint_steps": 2}


def _figures(history: list[dict[str, float]]) -> list[float]:
    return [entry[name] for entry in history for name in ("step", "loss", "grad_norm", "learning_rate")]


class WorkerKiller(threading.Thread):
    """Kills one training worker as soon as there is a checkpoint to go on from."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self.folder, self.killed = Path(stage.path("train")), 0

    def run(self) -> None:
        while not list(self.folder.glob("checkpoint_*/trainer_state.json")):
            time.sleep(0.02)
        for process in psutil.process_iter(["name", "cmdline"]):
            if "RayTrainWorker" in " ".join(process.info["cmdline"] or [process.info["name"] or ""]):
                self.killed = process.pid
                os.kill(process.pid, signal.SIGKILL)
                return


def test_killed_training_has_the_curve_of_an_uninterrupted_one(
    ray_here: None, tmp_path: Path, answer_file: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # The other trainings are killed in tests/kills.
    whole = train_vlm_dpo(Stage(str(tmp_path / "whole"), "s", "0"), answer_file, **LENGTH)
    stage = Stage(str(tmp_path / "killed"), "s", "0")
    killer = WorkerKiller(stage)
    killer.start()
    capfd.readouterr()
    resumed = train_vlm_dpo(stage, answer_file, **LENGTH)
    assert killer.killed, "the training ended before it could be killed"
    steps = [int(step) for step in re.findall(r"step (\d+)/10", capfd.readouterr().out)]
    assert steps.count(1) == 1, "the training began anew"
    assert max(steps) == 10
    assert _figures(resumed) == pytest.approx(_figures(whole), rel=1e-5)
    assert not Path(stage.path("train")).exists(), "checkpoints are kept after the model is saved"

"""What a training tells besides its steps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from urm_ray.training.callback import RayTrainCallback
from urm_ray.training.guards import TrainingError


def state(first: bool = True) -> Any:
    return SimpleNamespace(global_step=3, max_steps=12, is_world_process_zero=first)


def told_of(logs: dict[str, Any], first: bool = True) -> list[tuple[int, int, dict[str, float]]]:
    told: list[tuple[int, int, dict[str, float]]] = []
    callback: Any = RayTrainCallback("dpo", lambda *what: told.append(what))  # type: ignore[arg-type]
    callback.on_log(None, state(first), None, logs=logs)
    return told


def test_a_log_of_a_loss_is_told_with_its_step_by_the_first_worker_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert told_of({"loss": 0.5, "waiting": 0.1, "name": "words"}) == [(3, 12, {"loss": 0.5, "waiting": 0.1})]
    assert "[dpo] step 3/12  loss 0.5  waiting 0.1" in capsys.readouterr().out
    assert told_of({"loss": 0.5}, first=False) == []
    assert told_of({"train_runtime": 7.0}) == []
    assert capsys.readouterr().out == ""


def test_a_loss_that_is_not_a_number_is_not_told() -> None:
    with pytest.raises(TrainingError, match="at step 3 is not a number"):
        told_of({"loss": float("nan")})

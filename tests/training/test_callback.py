"""What a training tells besides its steps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray.train

from urm_ray import file_systems
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


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """The files of each checkpoint that Ray Train was handed by the only worker there is, with their sizes."""
    handed: list[dict[str, int]] = []

    def report(metrics: dict[str, Any], checkpoint: Any) -> None:
        if checkpoint:
            handed.append({path.name: path.stat().st_size for path in Path(checkpoint.path).iterdir()})

    monkeypatch.setattr(ray.train, "report", report)
    monkeypatch.setattr(ray.train, "get_context", lambda: SimpleNamespace(get_local_rank=lambda: 0))
    return handed


def left(monkeypatch: pytest.MonkeyPatch, bytes_: int) -> None:
    monkeypatch.setattr(file_systems.shutil, "disk_usage", lambda path: SimpleNamespace(free=bytes_))


def saving(folder: Path) -> tuple[Any, Any, Any]:
    """A callback, the arguments of its trainer and the trainer's wish to save, where a checkpoint has 5000 bytes."""
    (folder / "scratch" / "checkpoint-3").mkdir(parents=True)
    (folder / "scratch" / "checkpoint-3" / "weights").write_bytes(bytes(5000))
    arguments = SimpleNamespace(output_dir=str(folder / "scratch"))
    return RayTrainCallback("dpo", stage=str(folder / "stage")), arguments, SimpleNamespace(should_save=True)


def test_a_checkpoint_is_handed_over_with_the_list_of_its_files(tmp_path: Path, reported: list[dict[str, int]]) -> None:
    callback, arguments, wish = saving(tmp_path)
    callback.on_save(arguments, state(), wish)
    (files,) = reported
    assert files["weights"] == 5000
    assert set(files) == {"weights", "files.json"}


def test_of_a_nodes_own_copies_the_last_one_alone_is_kept(
    tmp_path: Path, reported: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    callback, arguments, wish = saving(tmp_path)
    for name in ("checkpoint-2", "resume", "runs"):
        (tmp_path / "scratch" / name / "inner").mkdir(parents=True)

    def there() -> set[str]:
        return {path.name for path in (tmp_path / "scratch").iterdir()}

    callback.on_step_end(arguments, state(), SimpleNamespace(should_save=False))
    assert there() == {"checkpoint-2", "checkpoint-3", "runs"}
    monkeypatch.setattr(ray.train, "get_context", lambda: SimpleNamespace(get_local_rank=lambda: 1))
    callback.on_save(arguments, state(), wish)
    assert there() == {"checkpoint-2", "checkpoint-3", "runs"}, "another worker of the node removes it"
    monkeypatch.setattr(ray.train, "get_context", lambda: SimpleNamespace(get_local_rank=lambda: 0))
    callback.on_save(arguments, state(), wish)
    assert there() == {"checkpoint-3", "runs"}


def test_a_checkpoint_that_has_no_room_in_the_run_is_not_handed_over(
    tmp_path: Path, reported: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    callback, arguments, wish = saving(tmp_path)
    left(monkeypatch, 4999)
    with pytest.raises(TrainingError, match=f"no free space for a checkpoint in {tmp_path}/stage: .*are needed for"):
        callback.on_save(arguments, state(), wish)
    assert reported == []


def test_the_next_checkpoint_is_not_begun_where_the_last_one_would_not_fit_again(
    tmp_path: Path, reported: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    callback, arguments, wish = saving(tmp_path)
    callback.on_save(arguments, state(), wish)
    left(monkeypatch, 4999)
    callback.on_step_end(arguments, state(), SimpleNamespace(should_save=False))
    with pytest.raises(TrainingError, match=f"no free space for a checkpoint in {tmp_path}/scratch: .*are needed for"):
        callback.on_step_end(arguments, state(), wish)
    left(monkeypatch, 5000)
    callback.on_step_end(arguments, state(), wish)

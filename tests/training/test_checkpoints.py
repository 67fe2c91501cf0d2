"""A list of checkpoints that a kill has cut: Ray Train goes on from the newest all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ray.train import CheckpointConfig
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import CheckpointManager
from ray.train.v2._internal.execution.storage import StorageContext

from urm_ray.training.checkpoints import LIST, mend_checkpoints


def folder_with(tmp_path: Path, listed: str | None, *steps: int) -> Path:
    folder = tmp_path / "train"
    for step in steps:
        (folder / f"checkpoint_{step}").mkdir(parents=True)
        (folder / f"checkpoint_{step}/trainer_state.json").write_text(json.dumps({"global_step": step}))
    folder.mkdir(exist_ok=True)
    if listed is not None:
        (folder / LIST).write_text(listed)
    return folder


def goes_on_from(tmp_path: Path) -> str | None:
    """The checkpoint that Ray Train takes up, by the name of its folder."""
    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="train")
    result = CheckpointManager(CheckpointConfig(num_to_keep=1), storage)._latest_checkpoint_result
    return result and Path(result.checkpoint.path).name


@pytest.mark.parametrize("listed", ["", "{", "[]", '{"checkpoint_results": [{"checkpoint_dir_name": "checkpoint_9"}]}'])
def test_a_list_that_is_cut_or_names_what_is_gone_is_written_anew(listed: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, listed, 2, 10, 4)
    mend_checkpoints(str(folder))
    assert goes_on_from(tmp_path) == "checkpoint_10"


def test_a_checkpoint_that_is_not_whole_is_passed_over(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "", 2, 4)
    (folder / "checkpoint_4/trainer_state.json").write_text("{")
    (folder / "checkpoint_6").mkdir()
    mend_checkpoints(str(folder))
    assert goes_on_from(tmp_path) == "checkpoint_2"


def test_without_a_checkpoint_the_training_begins_anew(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "")
    mend_checkpoints(str(folder))
    assert goes_on_from(tmp_path) is None


def test_a_whole_list_is_left_as_it_is(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "", 2)
    mend_checkpoints(str(folder))
    whole = (folder / LIST).read_bytes()
    (folder / "checkpoint_4").mkdir()
    (folder / "checkpoint_4/trainer_state.json").write_text(json.dumps({"global_step": 4}))
    mend_checkpoints(str(folder))
    assert (folder / LIST).read_bytes() == whole
    assert goes_on_from(tmp_path) == "checkpoint_2"


def test_a_folder_that_is_not_there_yet_stays_away(tmp_path: Path) -> None:
    mend_checkpoints(str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()

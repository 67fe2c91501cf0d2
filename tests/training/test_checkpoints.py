"""A list of checkpoints that a kill has cut: Ray Train goes on from the newest that is whole all the same."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as workers
from ray.train import CheckpointConfig
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import CheckpointManager
from ray.train.v2._internal.execution.storage import StorageContext

from urm_ray import store
from urm_ray.local_copies import upload_dir
from urm_ray.training.checkpoints import LIST, mend_checkpoints, note_files


def work(place: Path, rank: int) -> None:
    """One of three workers, of which the last is on a node of its own, that have saved what is theirs."""
    workers.init_process_group("gloo", init_method=f"file://{place}/meeting", rank=rank, world_size=3)
    node = place / ("two" if rank == 2 else "one")
    (node / f"rng_state_{rank}.pth").write_bytes(bytes(10 + rank))
    sizes = note_files(node, 6, first_of_node=rank != 1)
    (place / f"sizes-{rank}.json").write_text(json.dumps(sizes))
    os._exit(0)


def checkpoint(folder: Path, step: int) -> Path:
    """As a training leaves one."""
    (folder / "global_step").mkdir(parents=True)
    (folder / "global_step/optim_states.pt").write_bytes(bytes(100))
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    note_files(folder, step, first_of_node=True)
    return folder


def folder_with(tmp_path: Path, listed: str | None, *steps: int) -> Path:
    folder = tmp_path / "train"
    for step in steps:
        checkpoint(folder / f"checkpoint_{step}", step)
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


@pytest.mark.parametrize("name", ["files.json", "trainer_state.json", "global_step/optim_states.pt"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_checkpoint_that_is_not_whole_is_passed_over(tmp_path: Path, name: str, cut: bool) -> None:
    folder = folder_with(tmp_path, "", 2, 4)
    file = folder / "checkpoint_4" / name
    half = file.read_bytes()[:-1]
    file.unlink()
    if cut:
        file.write_bytes(half)
    (folder / "checkpoint_6").mkdir()
    mend_checkpoints(str(folder))
    assert goes_on_from(tmp_path) == "checkpoint_2"


@pytest.mark.parametrize("torn", ["checkpoint_a", "checkpoint_b", None])
def test_of_two_checkpoints_of_a_step_it_is_the_whole_one_or_the_later(tmp_path: Path, torn: str | None) -> None:
    folder = folder_with(tmp_path, "", 2)
    for name in ("checkpoint_a", "checkpoint_b"):
        checkpoint(folder / name, 4)
    if torn:
        (folder / torn / "global_step/optim_states.pt").unlink()
    mend_checkpoints(str(folder))
    assert goes_on_from(tmp_path) == ("checkpoint_a" if torn == "checkpoint_b" else "checkpoint_b")


def test_a_checkpoint_in_a_bucket_is_looked_through_with_few_requests(objects: Any, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "{", 2, 4)
    (folder / "checkpoint_4/global_step/optim_states.pt").write_bytes(b"half")
    uri = objects.uri("stage", "train")
    upload_dir(str(folder), uri)
    objects.asked.clear()
    mend_checkpoints(uri)
    assert len([path for _, path in objects.asked if "checkpoint_4" in path]) <= 5, "all names at once, and the list"
    assert store.read_json(store.join(uri, LIST))["latest_checkpoint_result"]["checkpoint_dir_name"] == "checkpoint_2"


def test_the_list_names_what_the_workers_of_all_nodes_have_saved(tmp_path: Path) -> None:
    for node in ("one", "two"):
        (tmp_path / node).mkdir()
    started = [
        multiprocessing.get_context("fork").Process(target=work, args=(tmp_path, rank), daemon=True)
        for rank in range(3)
    ]
    for worker in started:
        worker.start()
    for worker in started:
        worker.join(60)
    sizes = [json.loads((tmp_path / f"sizes-{rank}.json").read_text()) for rank in range(3)]
    assert sizes == [[21, 33], [0, 33], [12, 33]], "of the node, on its first worker, and of all nodes"
    files = {"rng_state_0.pth": 10, "rng_state_1.pth": 11, "rng_state_2.pth": 12}
    assert json.loads((tmp_path / "one/files.json").read_text()) == {"step": 6, "files": files}
    assert not (tmp_path / "two/files.json").exists()


def test_without_a_checkpoint_the_training_begins_anew(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "")
    mend_checkpoints(str(folder))
    assert goes_on_from(tmp_path) is None


def test_a_whole_list_is_left_as_it_is(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "", 2)
    mend_checkpoints(str(folder))
    whole = (folder / LIST).read_bytes()
    checkpoint(folder / "checkpoint_4", 4)
    mend_checkpoints(str(folder))
    assert (folder / LIST).read_bytes() == whole
    assert goes_on_from(tmp_path) == "checkpoint_2"


def test_a_checkpoint_that_lacks_what_it_names_is_passed_over_though_the_list_is_right(tmp_path: Path) -> None:
    named = json.dumps({"checkpoint_results": [{"checkpoint_dir_name": "checkpoint_4"}]})
    folder = folder_with(tmp_path, named, 2, 4)
    (folder / "checkpoint_4/global_step/optim_states.pt").write_bytes(b"")
    mend_checkpoints(str(folder))
    assert goes_on_from(tmp_path) == "checkpoint_2"


def test_a_folder_that_is_not_there_yet_stays_away(tmp_path: Path) -> None:
    mend_checkpoints(str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()

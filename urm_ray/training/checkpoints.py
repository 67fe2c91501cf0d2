"""Mends what a kill leaves of Ray Train's list of checkpoints, which Ray 2.60 writes in place."""

from __future__ import annotations

import contextlib

import pyarrow.fs as pafs
from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME as LIST
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import (
    _CheckpointManagerState,
    _TrainingResultState,
)

from urm_ray import store


def mend_checkpoints(folder: str) -> None:
    """Lets a training in the folder go on from its newest checkpoint where the list of them was cut in half, or names
    some that are gone; from its beginning where there is none."""
    listed = store.join(folder, LIST)
    if not store.exists(listed) or _is_whole(folder, listed):
        return
    steps = {name: step for name in _folders(folder) if (step := _step(store.join(folder, name))) is not None}
    if not steps:
        store.delete_dir(folder)
        return
    newest = _TrainingResultState(checkpoint_dir_name=max(steps, key=lambda name: steps[name]), metrics={})
    state = _CheckpointManagerState(
        checkpoint_results=[newest],
        checkpoint_report_indices=[0],
        latest_checkpoint_result=newest,
        pending_training_results=[],
        pending_validation_specs=[],
        current_report_index=1,
        validated_checkpoint_dir_names=[],
        timed_out_validation_checkpoint_dir_names=[],
        failed_validation_checkpoint_dir_names=[],
    )
    store.write_bytes(listed, state.model_dump_json().encode())


def _is_whole(folder: str, listed: str) -> bool:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        named = [one["checkpoint_dir_name"] for one in store.read_json(listed)["checkpoint_results"]]
        return set(named) <= set(_folders(folder))
    return False


def _folders(folder: str) -> list[str]:
    fs, path = store.locate(folder)
    found = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    return [one.base_name for one in found if one.type == pafs.FileType.Directory]


def _step(checkpoint: str) -> int | None:
    """The step of a checkpoint; None where the folder holds none that is whole."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return int(store.read_json(store.join(checkpoint, "trainer_state.json"))["global_step"])
    return None

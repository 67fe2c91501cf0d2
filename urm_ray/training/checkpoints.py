"""Which checkpoints are whole, and what a kill leaves of Ray Train's list of them, which Ray 2.60 writes in place."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow.fs as pafs
from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME as LIST
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import (
    _CheckpointManagerState,
    _TrainingResultState,
)

from urm_ray import store

RESUME = "resume"
"""The folder, beside a worker's own checkpoints, of the one that it goes on from."""
FILES = "files.json"
"""Lies in each checkpoint, and names what else does."""


def note_files(folder: Path, step: int, first_of_node: bool) -> tuple[int, int]:
    """Writes into a checkpoint which files it is whole with. Returns how many bytes this node's part of it has, on the
    first worker of the node, and how many all of it has.

    All workers call it once they have saved: each node holds the files of its own workers, and the first worker of all
    names those of all of them.
    """
    parts, rank = _parts_of_all(folder, first_of_node)
    if rank == 0:
        files = {name: size for part in parts for name, size in part.items()}
        store.write_json(str(folder / FILES), {"step": step, "files": files})
    return sum(parts[rank].values()), sum(sum(part.values()) for part in parts)


def _parts_of_all(folder: Path, first_of_node: bool) -> tuple[list[dict[str, int]], int]:
    """The files of each worker's node by rank, none of those that are not the first there, and this worker's rank."""
    import torch.distributed as workers

    together = workers.is_available() and workers.is_initialized()
    if together:
        workers.barrier()  # until all have saved
    own = {file.name: file.size for file in store.tree(str(folder)) if file.name != FILES} if first_of_node else {}
    if not together:
        return [own], 0
    parts: list[dict[str, int]] = [{}] * workers.get_world_size()
    workers.all_gather_object(parts, own)
    return parts, workers.get_rank()


def mend_checkpoints(folder: str) -> None:
    """Lets a training in the folder go on from its newest checkpoint where the list of them was cut in half, or names
    some that are gone; from its beginning where there is none."""
    listed = store.join(folder, LIST)
    if not store.exists(listed) or _is_right(folder, listed):
        return
    steps = {name: step for name in _folders(folder) if (step := _step(store.join(folder, name))) is not None}
    if not steps:
        store.delete_dir(folder)
        return
    newest = _TrainingResultState(checkpoint_dir_name=max(steps, key=lambda name: (steps[name], name)), metrics={})
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


def _is_right(folder: str, listed: str) -> bool:
    """Whether the list can be read, and what it names is there, without anything missing in it."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        named = {one["checkpoint_dir_name"] for one in store.read_json(listed)["checkpoint_results"]}
        noted = [name for name in named & set(_folders(folder)) if store.exists(store.join(folder, name, FILES))]
        return named <= set(_folders(folder)) and all(_step(store.join(folder, name)) is not None for name in noted)
    return False


def _folders(folder: str) -> list[str]:
    fs, path = store.locate(folder)
    found = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    return [one.base_name for one in found if one.type == pafs.FileType.Directory]


def _step(checkpoint: str) -> int | None:
    """The step of a checkpoint; None where the folder holds none that is surely whole, such as one without a list."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        there = {file.name: file.size for file in store.tree(checkpoint)}
        noted = store.read_json(store.join(checkpoint, FILES)) if FILES in there else {"files": {}}
        if noted["files"].items() <= there.items():
            return int(noted["step"])
    return None

"""What happens beside the steps: progress lines, checkpoints to Ray Train, guards."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray.train
from ray.train import Checkpoint
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from urm_ray.training.checkpoints import RESUME, note_files
from urm_ray.training.guards import NOT_A_NUMBER, TrainingError, room

Logged = Callable[[int, int, Mapping[str, float]], None]


class RayTrainCallback(TrainerCallback):
    """Hands each checkpoint to Ray Train once a node and prints the figures on rank 0.

    All ranks report, which is a barrier, so no rank's shard of the optimizer is missed; only the first rank of each
    node names the folder, so a folder is uploaded once.
    logged: called on rank 0 with the step, how many there will be, and the figures of each log of a loss. stage: where
    Ray Train puts the checkpoints; a training ends where there is no room for the next one.
    """

    def __init__(self, name: str, logged: Logged | None = None, stage: str = "") -> None:
        self.name, self.logged, self.stage = name, logged, stage
        self._last_size = 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        figures = {k: v for k, v in (logs or {}).items() if isinstance(v, (int, float))}
        if not math.isfinite(figures.get("loss", 0.0)):
            raise TrainingError(f"{self.name}: the loss at step {state.global_step} is not a number: {NOT_A_NUMBER}")
        if state.is_world_process_zero and "loss" in figures:
            shown = "  ".join(f"{k} {v:.4g}" for k, v in figures.items() if k not in ("epoch", "num_tokens"))
            # Not print: Ray Train sends what is printed to the driver a second time, through its own log.
            sys.stdout.write(f"[{self.name}] step {state.global_step}/{state.max_steps}  {shown}\n")
            sys.stdout.flush()
            if self.logged:
                self.logged(state.global_step, state.max_steps, figures)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._forget(args, RESUME)  # all have read it once all have made a step
        if control.should_save and self._last_size:  # the trainer removes the last one only once it has the next
            assert args.output_dir is not None
            with room(args.output_dir, self._last_size):
                pass

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        assert args.output_dir is not None
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        first_of_node = _first_of_node()
        with room(args.output_dir):
            self._last_size, size = note_files(folder, state.global_step, first_of_node)
        with room(self.stage, size):
            ray.train.report(
                {"step": state.global_step}, checkpoint=Checkpoint.from_directory(folder) if first_of_node else None
            )
        # The trainer removes earlier ones on the first worker's node alone.
        self._forget(args, *(old.name for old in folder.parent.glob("checkpoint-*") if old != folder))

    @staticmethod
    def _forget(args: TrainingArguments, *names: str) -> None:
        """Removes folders of the node's scratch, on its first worker."""
        assert args.output_dir is not None
        there = [folder for name in names if (folder := Path(args.output_dir) / name).exists()]
        if there and _first_of_node():
            for folder in there:
                shutil.rmtree(folder, ignore_errors=True)


def _first_of_node() -> bool:
    return ray.train.get_context().get_local_rank() == 0


def remove_local_checkpoints(output_dir: str) -> None:
    shutil.rmtree(output_dir, ignore_errors=True)

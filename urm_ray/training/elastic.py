"""Trainings that go on with fewer workers while there are not enough nodes.

The rows of a training are dealt out into as many shares as it has `workers`, and a step takes `accumulate`
micro-batches of each share. Where there are fewer workers, each carries several shares, one after the other: a step
sees the same rows in the same micro-batches, and the mean of their gradients is the same but for rounding. So there
may be as many workers as divide the shares evenly. Dropout, where a model or adapter has it, draws otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import ray.train
from ray.train import DataConfig
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2._internal.execution.scaling_policy import ElasticScalingPolicy

from urm_ray.config_training import TrainConfig
from urm_ray.training.guards import TrainingError
from urm_ray.training.saved_state import plain_state
from urm_ray.training.stream import DealtBatches, ShardBatches


class Shares(DataConfig):
    """Deals the rows out into a number of shares that does not hang on the number of workers, each of whom gets the
    first of its shares, with the others as its `further`."""

    def __init__(self, shares: int, **options: Any) -> None:
        super().__init__(**options)
        self.shares = shares

    def configure(self, datasets: dict[str, Any], world_size: int, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        each = self.shares // world_size
        kwargs["worker_node_ids"] = None  # as many hints as shares would be wanted; order leaves them no say anyway
        dealt = super().configure(datasets, self.shares, *args, **kwargs)
        workers = [dealt[rank * each : (rank + 1) * each] for rank in range(world_size)]
        for carried in workers:
            for name, first in carried[0].items():
                first.further = [share[name] for share in carried[1:]]
        return [carried[0] for carried in workers]


class EvenlyCarried(ElasticScalingPolicy):
    """Ray's own choice of a number of workers, or the next lower one that can carry all shares evenly."""

    def _count_possible_workers(self, *args: Any, **kwargs: Any) -> int:
        return most_workers(super()._count_possible_workers(*args, **kwargs), self.scaling_config.max_workers)


def most_workers(possible: int, shares: int) -> int:
    """The most workers, of so many, that carry all shares evenly; 0 of none."""
    return max((count for count in range(1, min(possible, shares) + 1) if shares % count == 0), default=0)


class UnlessStopped(DefaultFailurePolicy):
    """Starts workers again as Ray does, but not those that a TrainingError has stopped: on a full disk nothing can be
    written of it for those that come after (`guards.until_stopped`)."""

    def make_decision(self, training_failed_error: Any) -> FailureDecision:
        failures = getattr(training_failed_error, "worker_failures", {}).values()
        if any(isinstance(error, TrainingError) for error in failures):
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)


class ElasticTrainer(TorchTrainer):
    """A trainer whose number of workers is between two bounds and divides the greater, and that a guard can stop."""

    def _initialize_and_run_controller(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["failure_policy"] = UnlessStopped(self.run_config.failure_config)
        if self.scaling_config.elasticity_enabled:
            kwargs["scaling_policy"] = EvenlyCarried(self.scaling_config)
        return super()._initialize_and_run_controller(*args, **kwargs)


def carried(config: TrainConfig) -> int:
    """How many shares this worker carries."""
    return config.workers // ray.train.get_context().get_world_size()


def batches_of_worker(
    config: TrainConfig, collate: Callable[[pa.Table], dict[str, Any]], done: int, seed: int, window: int
) -> ShardBatches | DealtBatches:
    """The micro-batches of this worker from the step on that follows `done` steps."""
    first = ray.train.get_dataset_shard("train")
    shares = [
        ShardBatches(
            share,
            collate,
            config.batch,
            total=config.steps * config.accumulate,
            start=done * config.accumulate,
            seed=seed % 2**31,
            window=window,
        )
        for share in (first, *first.further)
    ]
    return shares[0] if len(shares) == 1 else DealtBatches(shares, config.accumulate)


def of_other_workers(folder: Path) -> bool:
    """Whether DeepSpeed's state in a checkpoint is in the shares of another number of workers than there are now."""
    shares = len(list(folder.glob("global_step*/*_optim_states.pt")))
    return bool(shares) and shares != ray.train.get_context().get_world_size()


def make_universal(folder: Path) -> None:
    """Writes DeepSpeed's state in a checkpoint once more beside itself, by parameter: so any number of workers may
    load it."""
    from deepspeed.checkpoint import ds_to_universal

    (state,) = (path for path in folder.glob("global_step*") if not path.name.endswith(_UNIVERSAL))
    arguments = {
        "input_folder": str(state),
        "output_folder": str(state) + _UNIVERSAL,
        "num_extract_workers": 1,  # more are processes, which a training must not fork
        "num_merge_workers": 1,
        "keep_temp_folder": False,
        "strict": True,
        "inject_missing_state": True,  # what only models in parts of tensors have
    }
    with plain_state(str(folder)):
        ds_to_universal.main(SimpleNamespace(**arguments))


@contextmanager
def each_group_its_own() -> Iterator[None]:
    """While it lasts, ZeRO-3 takes up such a state as it was. DeepSpeed 0.19 gives all groups of parameters one counter
    of steps, which each of them counts up, and the weight decay of the first."""
    from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3 as Sharded

    load = Sharded.load_hp_checkpoint_state_from_checkpoint_dir_stage3

    def mended(sharded: Any, folder: str) -> None:
        groups = sharded.optimizer.param_groups
        decays = [group["weight_decay"] for group in groups]
        load(sharded, folder)
        for group, decay in zip(groups, decays, strict=True):
            group["weight_decay"] = decay
        for state in sharded.optimizer.state.values():
            state["step"] = deepcopy(state["step"])

    Sharded.load_hp_checkpoint_state_from_checkpoint_dir_stage3 = mended
    try:
        yield
    finally:
        Sharded.load_hp_checkpoint_state_from_checkpoint_dir_stage3 = load


_UNIVERSAL = "_universal"

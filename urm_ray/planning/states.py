"""What DeepSpeed keeps of a model on each worker, by ZeRO stage; read off DeepSpeed 0.19 and held against measurements.

Adam has two moments in float32. Under bf16, and under ZeRO in any case, there are master weights in float32 beside the
weights. Gradients are summed up in the type of the weights, since `training.zero` names no other.
"""

from __future__ import annotations

from dataclasses import dataclass

from urm_ray.config_training import TrainConfig
from urm_ray.training.zero import zero_config

_MASTER = 4
_MOMENTS = 8
_LIVE = 1_000_000_000
"""DeepSpeed's own limits, which `training.zero` leaves alone: of parameters that ZeRO-3 holds gathered
(`stage3_max_live_parameters`), and of a group that it steps at once (`sub_group_size`)."""
_ALL_REDUCE = 500_000_000
"""Elements that stage 0 joins to be reduced at once (`reduce_bucket_size`)."""


@dataclass(frozen=True)
class States:
    """Bytes on one worker. Beside weights and optimizer, which are always there, each moment needs something else."""

    weights: float
    optimizer: float
    """Master weights and Adam's moments."""
    kept: float
    """Gradients that lie there through the whole of a backward pass, from earlier micro-batches."""
    growing: float
    """Of each element of a gradient that the backward pass has finished."""
    buffers: float
    """Beside them in a backward pass: buckets, and parameters that ZeRO-3 has gathered."""
    reducing: float
    """Beside all that once gradients are being finished: what a bucket is rearranged into."""
    step: float
    """When the optimizer steps: gradients and their copies; activations are gone then."""

    @property
    def always(self) -> float:
        return self.weights + self.optimizer


def states(trained: int, frozen: int, config: TrainConfig, workers: int | None = None) -> States:
    """Of a model with so many trained and frozen parameters.

    workers: as many as share the states; those of the configuration if not given.
    """
    size, ranks = 2 if config.bf16 else 4, workers or config.workers
    zero = zero_config(config)["zero_optimization"]
    own, several = trained / ranks, config.accumulate > 1
    if config.zero_stage == 0:
        # Without ZeRO there are no master weights in float32; gradients are joined to be reduced.
        master = _MASTER if config.bf16 else 0
        copies = 4 * trained if config.bf16 else 4 * min(trained, _ALL_REDUCE)
        return States(
            weights=size * (trained + frozen),
            optimizer=(master + _MOMENTS) * trained,
            kept=size * trained * several,
            growing=size * (not several),
            buffers=0,
            reducing=0,
            step=size * trained + copies,
        )
    bucket = size * min(trained, zero["reduce_bucket_size"])
    in_float32 = 4 if config.bf16 else 0  # gradients, for the step
    if config.zero_stage == 3:
        gathered = size * min(trained + frozen, _LIVE) if ranks > 1 else 0  # one worker has them whole
        return States(
            weights=size * (trained + frozen) / ranks,
            optimizer=(_MASTER + _MOMENTS) * own + size * zero["reduce_bucket_size"],
            kept=size * own,
            growing=0,
            buffers=gathered,
            reducing=bucket if ranks > 1 else 0,
            step=size * own + (size + in_float32) * min(own, _LIVE),
        )
    in_place = several and config.zero_stage == 1
    share = 1 if config.zero_stage == 1 else 1 / ranks
    return States(
        weights=size * (trained + frozen),
        optimizer=(_MASTER + _MOMENTS) * own,
        kept=size * trained * share * several,
        growing=size * share * (not in_place),
        buffers=bucket,
        reducing=0,
        step=(2 * size + in_float32) * own,
    )

"""How a training reads what it saved: as numbers and texts, so that a run folder cannot run code.

The trainer reads its own files so; DeepSpeed reads its shards as whatever objects they name, unless torch is told not
to. Of objects it needs the few of its own that are listed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError

import torch

from urm_ray.training.guards import TrainingError

_FORCED, _OPPOSITE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@contextmanager
def plain_state(folder: str | None) -> Iterator[None]:
    """While it lasts, torch reads files as weights and plain values alone, whatever it is asked for.

    folder: the checkpoint that is read; TrainingError where it holds anything else.
    """
    before = {name: os.environ.pop(name, None) for name in (_FORCED, _OPPOSITE)}
    os.environ[_FORCED] = "1"
    try:
        with torch.serialization.safe_globals(_known()):
            yield
    except UnpicklingError as error:
        raise TrainingError(
            f"the checkpoint in {folder} holds more than numbers and texts, and is not read: delete the stage's folder"
            f" and train anew ({str(error).splitlines()[0]})"
        ) from error
    finally:
        os.environ.pop(_FORCED)
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _known() -> list[type]:
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    return [LossScaler, DynamicLossScaler, ZeroStageEnum, fragment_address]

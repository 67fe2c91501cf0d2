"""A training goes on from numbers and texts: a checkpoint of a run folder that names other objects is not read."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safety.traps import Trap, write_pickle

from urm_ray.training.guards import TrainingError
from urm_ray.training.launch import run_trainer
from urm_ray.training.saved_state import plain_state


def shard(file: Path) -> Any:
    """A file as DeepSpeed reads it."""
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

    return TorchCheckpointEngine().load(str(file), "cpu")


def saved() -> dict[str, Any]:
    """What DeepSpeed's optimizers save beside tensors."""
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    fragment = fragment_address(numel=3, start=1)
    return {"zero_stage": ZeroStageEnum.weights, "loss_scaler": LossScaler(2.0), "fragments": {"0": fragment}}


class Trainer:
    """A trainer that resumes as DeepSpeed does, and nothing else."""

    def __init__(self) -> None:
        self.found: Any = None
        self.args = SimpleNamespace(output_dir=".")

    def remove_callback(self, _: Any) -> None:
        return None

    def train(self, resume_from_checkpoint: str) -> None:
        self.found = shard(Path(resume_from_checkpoint) / "zero_optim_states.pt")


def test_shards_with_deepspeed_s_own_objects_are_read(tmp_path):
    torch.save({"weights": torch.ones(3)} | saved(), tmp_path / "zero_optim_states.pt")
    trainer = Trainer()
    run_trainer(trainer, str(tmp_path))
    assert trainer.found["weights"].tolist() == [1.0, 1.0, 1.0]
    assert trainer.found["zero_stage"] == 3
    assert trainer.found["loss_scaler"].loss_scale == 2.0
    assert trainer.found["fragments"]["0"].start == 1


@pytest.mark.parametrize("plain", [False, True])
def test_a_shard_that_would_run_something_stops_the_training_with_a_sentence(tmp_path, ran, plain):
    write_pickle(tmp_path / "zero_optim_states.pt", ran, plain)
    with pytest.raises(TrainingError, match="holds more than numbers and texts, and is not read") as caught:
        run_trainer(Trainer(), str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_shard_would_run_it_where_nobody_said_how_to_read(tmp_path):
    torch.save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "zero_optim_states.pt")
    shard(tmp_path / "zero_optim_states.pt")
    assert (tmp_path / "sprung").exists()


def test_how_torch_reads_is_as_before_when_the_training_is_over(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    with plain_state(None):
        assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ

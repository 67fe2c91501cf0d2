"""DPO of a VLM of another family under ZeRO-3, where weights are in shares already when they are loaded."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from families.vlms import save_vlm
from train.trainings import moved, train_vlm_dpo, write_answers

from urm_ray.run_folder import Stage
from urm_ray.vlms import load_vlm

pytestmark = pytest.mark.train


def test_all_that_a_loss_can_move_moves_under_zero_3(ray_here: None, stage: Stage, tmp_path: Path) -> None:
    policy = str(tmp_path / "llava_onevision")
    save_vlm("llava_onevision", policy)
    file = write_answers(str(tmp_path / "unit-000000.parquet"), policy)
    history = train_vlm_dpo(stage, file, policy, zero_stage=3, gradient_checkpointing=True)
    assert history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    before, after = (load_vlm(path, device="cpu")[0].state_dict() for path in (policy, stage.path("model")))
    idle = {name for name in before if "post_layernorm" in name}
    assert idle
    assert set(moved(before, after)) == set(before) - idle

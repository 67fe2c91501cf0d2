"""DPO of a VLM on 2 workers whose micro-batches differ in kind: a picture on one, a clip or neither on the other."""

from __future__ import annotations

import math
from typing import Any

import pytest
from train.trainings import VLM, moved, some, train_vlm_dpo

from urm_ray.run_folder import Stage
from urm_ray.vlms import load_vlm

pytestmark = pytest.mark.train

_losses: dict[int, list[float]] = {}


def weights(path: str) -> dict[str, Any]:
    return load_vlm(path, device="cpu")[0].state_dict()


@pytest.mark.parametrize("zero_stage", some(0, 2, quick=(3,)))
def test_ranks_with_pictures_clips_and_neither_keep_in_step(
    zero_stage: int, ray_here: None, stage: Stage, answer_file: str
) -> None:
    history = train_vlm_dpo(stage, answer_file, zero_stage=zero_stage, steps=6)
    assert [entry["step"] for entry in history] == [1, 2, 3, 4, 5, 6]
    assert history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert (history[0]["chosen_fall"], history[0]["rejected_fall"]) == pytest.approx((0, 0), abs=1e-4)
    assert history[-1]["loss"] < math.log(2) - 1e-2
    # The first log has the start of the pipeline in it.
    assert all(0 <= entry["waiting"] < 0.9 for entry in history[1:])
    _losses[zero_stage] = [entry["loss"] for entry in history]
    assert _losses[zero_stage] == pytest.approx(next(iter(_losses.values())), rel=1e-3, abs=1e-5)
    before, after = weights(VLM), weights(stage.path("model"))
    assert set(moved(before, after)) == set(before), "some trainable tensor never moved"


@pytest.mark.long
def test_adapters_under_zero_3_are_merged_into_a_plain_folder(ray_here: None, stage: Stage, answer_file: str) -> None:
    lora = {"lora": {"rank": 4, "alpha": 8}, "train_vision": False}
    history = train_vlm_dpo(stage, answer_file, zero_stage=3, lr=1e-2, **lora)
    assert history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    changed = moved(weights(VLM), weights(stage.path("model")))
    assert changed
    assert not any("visual" in name or "norm" in name or "embed_tokens" in name for name in changed)

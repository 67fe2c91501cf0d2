"""Every ZeRO stage trains the judge and the policy on 2 workers, whole and by LoRA, to plain folders."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from train.trainings import TEXT_TO_IMAGE, VLM, moved, some, train_dpo, train_reward

from urm_ray.models import load_pipeline
from urm_ray.run_folder import Stage
from urm_ray.vlms import load_vlm

pytestmark = pytest.mark.train

_losses: dict[int, list[float]] = {}


@pytest.mark.parametrize("zero_stage", some(0, 1, 2, quick=(3,)))
def test_reward_trains_under_every_zero_stage(
    zero_stage: int, ray_here: None, stage: Stage, preference_file: str
) -> None:
    history = train_reward(stage, preference_file, zero_stage=zero_stage)
    assert [entry["step"] for entry in history] == [1, 2, 3, 4]
    # Sharding must not change the mathematics: all stages see the same rows and take the same steps.
    _losses[zero_stage] = [entry["loss"] for entry in history]
    first = next(iter(_losses.values()))
    assert _losses[zero_stage] == pytest.approx(first, rel=1e-3)
    before, after = (
        load_vlm(VLM, device="cpu")[0].state_dict(),
        load_vlm(stage.path("model"), device="cpu")[0].state_dict(),
    )
    assert set(moved(before, after)) == set(before), "some trainable tensor never moved"
    assert {file.suffix for file in Path(stage.path("model")).iterdir()} <= {".json", ".safetensors", ".jinja", ".txt"}


@pytest.mark.parametrize("zero_stage", some(2, quick=(3,)))
def test_dpo_trains_and_starts_at_ln_2(zero_stage: int, ray_here: None, stage: Stage, pair_file: str) -> None:
    history = train_dpo(stage, pair_file, zero_stage=zero_stage)
    assert history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    for name in ("winner_error", "loser_error", "winner_reference", "loser_reference"):
        assert all(entry[name] > 0 for entry in history)
    assert history[0]["winner_excess"] == pytest.approx(0, abs=1e-4)
    assert history[-1]["loss"] != pytest.approx(math.log(2), abs=1e-6)
    before = load_pipeline(TEXT_TO_IMAGE, device="cpu").unet.state_dict()
    after = load_pipeline(stage.path("model"), device="cpu").unet.state_dict()
    assert set(moved(before, after)) == set(before)


@pytest.mark.parametrize("zero_stage", some(2, 3, quick=()))
def test_dpo_trains_from_stored_errors_without_a_reference(
    zero_stage: int, ray_here: None, stage: Stage, pair_file: str
) -> None:
    history = train_dpo(stage, pair_file, zero_stage=zero_stage, reference="stored", stored_draws=2)
    assert history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert history[-1]["loss"] != pytest.approx(math.log(2), abs=1e-6)
    before = load_pipeline(TEXT_TO_IMAGE, device="cpu").unet.state_dict()
    after = load_pipeline(stage.path("model"), device="cpu").unet.state_dict()
    assert set(moved(before, after)) == set(before)


def _lora(**changes: Any) -> dict[str, Any]:
    return {"lora": {"rank": 4, "alpha": 8}, "steps": 3, "checkpoint_steps": 3, **changes}


@pytest.mark.long
def test_reward_lora_under_zero_3_is_merged_into_a_plain_folder(
    ray_here: None, stage: Stage, preference_file: str
) -> None:
    train_reward(stage, preference_file, **_lora(zero_stage=3))
    before, after = (
        load_vlm(VLM, device="cpu")[0].state_dict(),
        load_vlm(stage.path("model"), device="cpu")[0].state_dict(),
    )
    changed = moved(before, after)
    assert changed
    assert all(name.endswith("weight") for name in changed)
    assert not any("norm" in name or "embed_tokens" in name for name in changed)


def test_dpo_lora_takes_its_reference_from_the_adapter_switched_off(
    ray_here: None, stage: Stage, pair_file: str
) -> None:
    history = train_dpo(stage, pair_file, **_lora(zero_stage=2, reference="adapter_off"))
    assert history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    before = load_pipeline(TEXT_TO_IMAGE, device="cpu").unet.state_dict()
    after = load_pipeline(stage.path("model"), device="cpu").unet.state_dict()
    assert moved(before, after)

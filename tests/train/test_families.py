"""A policy of another family than the shipped one, through Ray Train, ZeRO-3 and back into a folder."""

from __future__ import annotations

import math

import pytest
from diffusers import DiffusionPipeline
from families.pipelines import folder_of
from train import trainings
from train.trainings import moved, train_dpo

from urm_ray.denoisers.registry import family_of
from urm_ray.run_folder import Stage

pytestmark = pytest.mark.train


@pytest.mark.long
def test_a_transformer_of_a_flow_trains_sharded(
    ray_here: None, stage: Stage, pair_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder_of("stable_diffusion_3")
    monkeypatch.setattr(trainings, "TEXT_TO_IMAGE", path)
    history = train_dpo(stage, pair_file, zero_stage=3, lr=1e-3)
    assert history[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert history[-1]["loss"] != pytest.approx(math.log(2), abs=1e-6)
    before = DiffusionPipeline.from_pretrained(path).transformer.state_dict()
    after = DiffusionPipeline.from_pretrained(stage.path("model"), use_safetensors=True).transformer.state_dict()
    still = set(before) - set(moved(before, after))
    # Where each patch is, and what no output depends on.
    assert {name.rpartition(".")[0] for name in still} == {"pos_embed", *family_of(path).idle}

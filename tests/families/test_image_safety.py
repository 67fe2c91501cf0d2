"""Stable Diffusion 1.5 with its real safety checker: what it blanks is typed, and nothing else is dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from families.pipelines import SIZE, folder_of

from urm_ray.candidates.image import ImageSampler
from urm_ray.config_policy import SamplerConfig
from urm_ray.media import decode_image
from urm_ray.models import load_pipeline

REQUESTS = [("a red circle", 5), ("a blue square", 6), ("a red circle", 7), ("a green star", 8)]
FLAGGED = 2


def sampler(path: str, **changes: Any) -> ImageSampler:
    return ImageSampler(path, SamplerConfig(**{"steps": 2, "guidance": 3.0, "batch": 4} | changes), device="cpu")


def shown(made: dict[str, Any]) -> np.ndarray:
    return np.asarray(decode_image(made["media"]))


@pytest.fixture(scope="module")
def plain() -> list[dict[str, Any]]:
    """Candidates of a policy whose checker finds nothing."""
    return sampler(folder_of("stable_diffusion")).sample(REQUESTS)


@pytest.fixture(scope="module")
def strict(plain, tmp_path_factory) -> str:
    """The same policy with a checker one of whose concepts is what one of these candidates shows."""
    policy = load_pipeline(folder_of("stable_diffusion"), device="cpu")
    checker = policy.safety_checker
    eyes = policy.feature_extractor([decode_image(c["media"]) for c in plain], return_tensors="pt").pixel_values
    with torch.no_grad():
        seen = torch.nn.functional.normalize(checker.visual_projection(checker.vision_model(eyes)[1]))
        concept = seen[FLAGGED] - seen[[i for i in range(len(seen)) if i != FLAGGED]].mean(0)
        closeness = seen @ torch.nn.functional.normalize(concept, dim=0)
        others = torch.cat([closeness[:FLAGGED], closeness[FLAGGED + 1 :]]).max()
        assert closeness[FLAGGED] > others + 0.01
        checker.concept_embeds[0] = concept
        checker.concept_embeds_weights[0] = (closeness[FLAGGED] + others) / 2
    folder = str(tmp_path_factory.mktemp("policies") / "strict")
    policy.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("batch", [1, 4])
def test_what_the_checker_blanks_is_an_error_of_that_candidate_alone(batch, plain, strict):
    found = sampler(strict, batch=batch).sample(REQUESTS)
    errors = [None] * len(REQUESTS)
    errors[FLAGGED] = "blanked by the safety checker"
    assert [c["error"] for c in found] == errors
    assert found[FLAGGED]["media"] is None
    for before, after in zip(plain, found, strict=True):
        if after["error"] is None:
            assert np.abs(shown(before).astype(int) - shown(after)).max() <= 1


def test_a_picture_that_is_black_of_its_own_is_kept():
    made = sampler(folder_of("stable_diffusion"))
    with torch.no_grad():
        made.pipeline.vae.decoder.conv_out.weight.zero_()
        made.pipeline.vae.decoder.conv_out.bias.fill_(-3)
    found = made.sample(REQUESTS[:2])
    assert [c["error"] for c in found] == [None, None]
    assert not any(shown(c).any() for c in found)
    assert shown(found[0]).shape == (SIZE, SIZE, 3)

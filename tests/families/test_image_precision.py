"""Image policies in half precision: their autoencoders stay in float32 where they would overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from families.checks import encoded
from families.pipelines import FAMILIES, folder_of
from policies import picture_row

from urm_ray import schema
from urm_ray.candidates.image import ImageSampler
from urm_ray.config_policy import SamplerConfig
from urm_ray.config_training import DpoConfig
from urm_ray.denoisers.checkpoint import load_denoiser
from urm_ray.denoisers.registry import family_of
from urm_ray.media import decode_image
from urm_ray.models import load_pipeline
from urm_ray.training.encode_pairs import EncodePairs, load_reference
from urm_ray.training.encoded import collate_encoded, unpack
from urm_ray.training.noising import Noising, predict
from urm_ray.training.objectives import objective_of

REQUESTS = [("a red circle", 5), ("a blue square", 6)]


def sample(path: str, dtype: str) -> list[dict[str, Any]]:
    return ImageSampler(path, SamplerConfig(steps=2, guidance=3.0), dtype, "cpu").sample(REQUESTS)


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory):
    """SDXL whose autoencoder works as before in float32 and overflows in float16, as the real one does: large numbers
    in the first layers, which the next normalisation takes out again. By what its configuration says."""
    folders = {}
    for upcast in (True, False):
        policy = load_pipeline(folder_of("stable_diffusion_xl"), device="cpu")
        with torch.no_grad():
            for part in (policy.vae.encoder.conv_in, policy.vae.decoder.conv_in):
                part.weight.mul_(1e6)
                part.bias.mul_(1e6)
        policy.vae.register_to_config(force_upcast=upcast)
        folders[upcast] = str(tmp_path_factory.mktemp("policies") / str(upcast))
        policy.save_pretrained(folders[upcast])
    return folders


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_pictures_are_decoded_in_float32_where_the_autoencoder_asks_for_it(dtype, overflowing):
    full, half = sample(overflowing[True], "float32"), sample(overflowing[True], dtype)
    assert [c["error"] for c in half] == [None, None]
    for one, other in zip(full, half, strict=True):
        difference = np.asarray(decode_image(one["media"])).astype(int) - np.asarray(decode_image(other["media"]))
        assert np.abs(difference).mean() < 12  # the denoiser is rounded, and the noise is too


def test_one_that_does_not_ask_overflows_and_is_no_picture(overflowing):
    assert {c["error"] for c in sample(overflowing[False], "float16")} == {"pixels are not numbers"}


def test_pairs_are_encoded_in_float32_where_the_autoencoder_asks_for_it(overflowing):
    full = encoded(overflowing[True], [picture_row(0)], DpoConfig())
    half = encoded(overflowing[True], [picture_row(0)], DpoConfig(encode_dtype="float16"))
    for name in ("chosen_mean", "rejected_std"):
        assert unpack(half[name][0]).dtype == torch.float16
        assert torch.allclose(unpack(half[name][0]).float(), unpack(full[name][0]), rtol=1e-3, atol=1e-5)
    encode = EncodePairs(overflowing[False], DpoConfig(encode_dtype="float16"), 0, "cpu")
    dropped = encode(schema.table_of([picture_row(0)], schema.PREFERENCE_PAIR))["dropped"][0].as_py()
    assert dropped == "media_error: the autoencoder's latents are not numbers; many overflow in float16"


@pytest.mark.parametrize("name", FAMILIES)
def test_policy_and_reference_round_alike(name):
    # Beta multiplies their difference, so it has to be none while the policy is its reference.
    path, config = folder_of(name), DpoConfig(bf16=True)
    family, batch = family_of(path), collate_encoded(encoded(path, [picture_row(0)], config))
    scheduler = load_pipeline(path, device="cpu", only=("scheduler",)).scheduler
    noised = Noising(objective_of(scheduler, config, family.tokens), config, 0)(
        batch["mean"], batch["std"], batch["ids"], [0]
    )
    policy = load_denoiser(path)
    with torch.no_grad():
        full = predict(family, policy, noised, batch["conditioning"])
        for weight in policy.parameters():  # as DeepSpeed casts it: its buffers stay in float32
            weight.data = weight.data.bfloat16()
        half = predict(family, policy, noised, batch["conditioning"])
        reference = predict(family, load_reference(path, config, "cpu"), noised, batch["conditioning"])
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, reference)
    assert torch.allclose(half.float(), full, atol=0.2, rtol=0.1)

"""What differs inside a family: guidance that is a condition, a missing text encoder, other predictions, limits."""

from __future__ import annotations

import math
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from families.checks import told_in_training_as_in_sampling, trained
from families.pipelines import FAMILIES, SIZE, folder_of, save, stable_diffusion, stable_diffusion_3, unet
from helpers import candidate
from policies import noise_frames, picture_row

from urm_ray import schema
from urm_ray.candidates.image import ImageSampler
from urm_ray.config_policy import SamplerConfig
from urm_ray.config_training import DpoConfig
from urm_ray.media import encode_image
from urm_ray.models import load_pipeline
from urm_ray.store import StoreError
from urm_ray.training.encode_pairs import EncodePairs
from urm_ray.training.objectives import objective_of

ROWS = [picture_row(0), picture_row(1)]
SIDES = {"height": SIZE, "width": SIZE}


def saved(pipeline: Any, folder: Any) -> str:
    save(pipeline, str(folder))
    return str(folder)


@pytest.mark.parametrize("guidance", [1.0, 3.5])
def test_flux_dev_is_told_the_scale_of_guidance_that_it_samples_with(guidance):
    found = told_in_training_as_in_sampling(folder_of("flux"), ROWS[0], SamplerConfig(guidance=guidance), **SIDES)
    assert found["guidance"].tolist() == [guidance]


def test_flux_schnell_is_told_none(tmp_path):
    path = folder_of("flux", guidance_embeds=False)
    assert "guidance" not in told_in_training_as_in_sampling(path, ROWS[0], SamplerConfig(guidance=0.0), **SIDES)
    _, losses, still = trained(path, ROWS, str(tmp_path), timesteps=[250, 500, 750, 1000])
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert still == []


def test_a_u_net_that_is_distilled_from_guidance_is_told_its_scale(tmp_path):
    policy = stable_diffusion()
    policy.register_modules(unet=unet(time_cond_proj_dim=8), scheduler=diffusers.LCMScheduler())
    path = saved(policy, tmp_path)
    found = told_in_training_as_in_sampling(path, ROWS[0], SamplerConfig(guidance=8.0))
    assert found["timestep_cond"].shape == (1, 8)


def test_stable_diffusion_3_does_without_t5(tmp_path):
    path = saved(stable_diffusion_3(text_encoder_3=None, tokenizer_3=None), tmp_path)
    found = told_in_training_as_in_sampling(path, ROWS[0], SamplerConfig(guidance=1.0))
    assert not found["encoder_hidden_states"][:, 77:].any()


@pytest.mark.parametrize("name", ["stable_diffusion_3", "flux"])
def test_the_number_of_words_that_t5_reads_is_the_configured_one(name):
    config = SamplerConfig(guidance=1.0, max_sequence_length=12)
    found = told_in_training_as_in_sampling(folder_of(name), ROWS[0], config, max_sequence_length=12, **SIDES)
    assert found["encoder_hidden_states"].shape[1] == 12 + (77 if name == "stable_diffusion_3" else 0)
    short, long = (
        ImageSampler(folder_of(name), SamplerConfig(steps=1, max_sequence_length=length, **SIDES), device="cpu")
        for length in (12, 64)
    )
    assert short.sample([("a red circle", 1)]) != long.sample([("a red circle", 1)])


def test_a_policy_that_predicts_v_is_trained_on_v(tmp_path):
    path = saved(stable_diffusion(prediction_type="v_prediction"), tmp_path)
    scheduler = load_pipeline(path, device="cpu", only=("scheduler",)).scheduler
    latents, noise = torch.randn(2, 1, 4, 4, 4)
    timesteps = torch.tensor([600])
    noised = objective_of(scheduler, DpoConfig()).noised(latents, noise, timesteps)
    reference = diffusers.DDIMScheduler.from_config(scheduler.config)
    assert torch.allclose(noised.target, reference.get_velocity(latents, noise, timesteps), atol=1e-6)
    _, losses, still = trained(path, ROWS, str(tmp_path / "trainer"))
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert still == []


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("changes", [{"reference": "stored", "stored_draws": 2}, {"gradient_checkpointing": True}])
def test_stored_errors_and_recomputed_activations_train_as_without_them(name, changes, tmp_path):
    path, rows = folder_of(name), [picture_row(n) for n in range(2)]
    settings = {"steps": 2, "timesteps": [500]}  # one timestep, so that stored draws differ by noise alone
    _, losses, still = trained(path, rows, str(tmp_path), **settings, **changes)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert losses[1] != pytest.approx(math.log(2), abs=1e-5)
    assert still == []
    if "gradient_checkpointing" in changes:
        assert losses == pytest.approx(trained(path, rows, str(tmp_path), **settings)[1], rel=1e-4)


def dropped(path: str, height: int, width: int) -> str | None:
    """Why a pair of pictures of this size is left out."""
    frames = [noise_frames(k, 1, size=128)[0].crop((0, 0, width, height)) for k in (0, 1)]
    sides = {side: candidate(k, media=encode_image(frames[k])) for k, side in enumerate(("chosen", "rejected"))}
    encode = EncodePairs(path, DpoConfig(), 0, "cpu")
    return encode(schema.table_of([picture_row(0, **sides)], schema.PREFERENCE_PAIR))["dropped"][0].as_py()


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("stable_diffusion", (18, 16), "media_error: 18 x 16 pixels: the policy takes multiples of 4"),
        ("flux", (16, 20), "media_error: 16 x 20 pixels: the policy takes multiples of 8"),
        ("stable_diffusion_3", (20, 16), "media_error: 20 x 16 pixels: the policy takes multiples of 8"),
        ("stable_diffusion_3", (16, 72), "media_error: 16 x 72 pixels: the policy knows places up to 64"),
        ("stable_diffusion_3", (16, 64), None),
        ("flux", (72, 16), None),
    ],
)
def test_pictures_of_sizes_that_a_policy_cannot_take_cost_their_pair(name, size, reason):
    assert dropped(folder_of(name), *size) == reason


@pytest.mark.parametrize("name", ["stable_diffusion", "flux"])
def test_a_size_that_a_policy_cannot_make_is_refused_at_once(name):
    with pytest.raises(StoreError, match=r"sampler: 18 x None pixels: \w+Pipeline takes multiples of"):
        ImageSampler(folder_of(name), SamplerConfig(height=18), device="cpu")


def test_a_setting_that_a_policy_knows_nothing_of_is_refused():
    with pytest.raises(StoreError, match=r"sampler.max_sequence_length: StableDiffusionXLPipeline takes none"):
        ImageSampler(folder_of("stable_diffusion_xl"), SamplerConfig(max_sequence_length=12), device="cpu")


def test_steps_that_draw_noise_draw_it_from_the_samples_own_seed(tmp_path):
    # FluxPipeline hands its scheduler no generator, and such steps would draw from the global one.
    policy = load_pipeline(folder_of("flux"), device="cpu")
    policy.scheduler.register_to_config(stochastic_sampling=True)
    policy.save_pretrained(tmp_path)
    requests = [("a red circle", 5), ("a red circle", 6)]

    def pixels(batch: int) -> np.ndarray:
        settings = SamplerConfig(steps=3, batch=batch, **SIDES)
        made = ImageSampler(str(tmp_path), settings, device="cpu").sample(requests)
        return np.stack([np.frombuffer(c["media"]["data"], np.uint8)[:64] for c in made])

    assert np.array_equal(pixels(2), pixels(2))
    assert np.array_equal(pixels(2), pixels(1))

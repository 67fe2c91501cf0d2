import pytest
import torch

from urm_ray.denoisers.autoencoder import normalise

SHAPES = [(2, 3, 4, 5), (2, 3, 2, 4, 5)]  # pictures, clips
MEAN, STD = [0.1, -0.4, 2.0], [0.5, 2.0, 1.5]
CONFIGS = [
    {"scaling_factor": 0.18215},
    {"scaling_factor": 1.5305, "shift_factor": 0.0609},
    {"scaling_factor": 0.5, "latents_mean": MEAN, "latents_std": STD},
    {"latents_mean": MEAN, "latents_std": STD},
    {"scaling_factor": 0.18215, "shift_factor": None, "latents_mean": None, "latents_std": None},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("config", CONFIGS)
def test_draws_from_the_posterior_are_those_that_a_pipeline_undoes(shape, config):
    mean, std, dice = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    found_mean, found_std = normalise(mean, std, config)
    latents = found_mean + found_std * dice
    # As pipelines decode: out of the denoiser's numbers into the autoencoder's.
    scale = config.get("scaling_factor") or 1.0
    if config.get("latents_mean"):
        channels = [-1, *[1] * (len(shape) - 2)]
        undone = latents * torch.tensor(STD).reshape(channels) / scale + torch.tensor(MEAN).reshape(channels)
    else:
        undone = latents / scale + (config.get("shift_factor") or 0.0)
    assert torch.allclose(undone, mean + std * dice, atol=1e-5)

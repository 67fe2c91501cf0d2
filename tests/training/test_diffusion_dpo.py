from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers import candidate, picture
from PIL import Image

from urm_ray import schema
from urm_ray.config import DpoConfig
from urm_ray.media import MediaError, encode_image, image_record
from urm_ray.training.diffusion_dpo import PairEncoder, collate_pairs

CHANNELS, FACTOR = 2, 4


def pair(number: int, chosen: Image.Image, rejected: Image.Image) -> dict:
    return {
        "pair_id": f"pair{number}",
        "prompt": f"prompt {number}",
        "chosen": candidate(0, media=encode_image(chosen)),
        "rejected": candidate(1, media=encode_image(rejected)),
    }


def table(*rows: dict) -> pa.Table:
    names = ("pair_id", "prompt", "chosen", "rejected")
    return schema.table_of(list(rows), pa.schema([schema.PREFERENCE_PAIR.field(name) for name in names]))


class Autoencoder:
    """Averages FACTOR x FACTOR pixels; its posterior has a known spread."""

    config = SimpleNamespace(latent_channels=CHANNELS, scaling_factor=0.5)
    dtype = torch.float32

    def encode(self, pixels):
        mean = torch.nn.functional.avg_pool2d(pixels[:, :CHANNELS], FACTOR)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, std=torch.full_like(mean, 0.1)))


class Tokenizer:
    model_max_length = 6

    def __call__(self, prompts, **options):
        assert options["max_length"] == self.model_max_length
        return SimpleNamespace(input_ids=torch.tensor([[int(p.split()[1])] * 6 for p in prompts]))


def pipeline(prediction: str = "epsilon") -> SimpleNamespace:
    return SimpleNamespace(
        vae=Autoencoder(),
        vae_scale_factor=FACTOR,
        device="cpu",
        tokenizer=Tokenizer(),
        text_encoder=lambda tokens: SimpleNamespace(last_hidden_state=tokens[:, :, None].float()),
        scheduler=SimpleNamespace(
            config=SimpleNamespace(num_train_timesteps=1000, prediction_type=prediction),
            add_noise=lambda latents, noise, timesteps: latents + noise * timesteps[:, None, None, None] / 1000,
        ),
    )


def encoder(seed: int = 0, **settings) -> PairEncoder:
    return PairEncoder(pipeline(), DpoConfig(**settings), seed)


def batch(*numbers: int) -> dict:
    return collate_pairs(table(*[pair(n, picture(n), picture(n + 100)) for n in numbers]))


def test_winners_come_first_and_pixels_are_as_they_were():
    # Defect 20: each picture was flipped by chance, and "left of" became "right of".
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)
    images = [Image.fromarray(p) for p in pixels]
    made = collate_pairs(table(pair(0, images[0], images[2]), pair(1, images[1], images[3])))
    assert made["pixels"].shape == (4, 3, 8, 8)
    back = ((made["pixels"].permute(0, 2, 3, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    assert np.array_equal(back, pixels)
    assert (made["prompts"], made["ids"]) == (["prompt 0", "prompt 1"], ["pair0", "pair1"])


def test_a_picture_that_does_not_decode_is_an_error():
    row = pair(0, picture(1), picture(2))
    row["rejected"]["media"] = image_record(b"broken", 8, 8)
    with pytest.raises(MediaError):
        collate_pairs(table(row))


@pytest.mark.parametrize("step", [0, 7])
def test_winner_and_loser_share_noise_timestep_and_words(step):
    # Defect 19: noise and timestep were drawn for each of them anew.
    made = encoder()(batch(1, 2, 3), step)
    for name in ("timesteps", "target", "hidden"):
        winners, losers = made[name].chunk(2)
        assert torch.equal(winners, losers), name
    assert len({int(t) for t in made["timesteps"][:3]}) > 1
    assert made["hidden"][:, 0, 0].tolist() == [1, 2, 3] * 2


def test_noisy_latents_are_those_of_their_own_pictures():
    rows = batch(1, 2)
    made = encoder()(rows, 0)
    clean = made["noisy"] - made["target"] * made["timesteps"][:, None, None, None] / 1000
    mean = torch.nn.functional.avg_pool2d(rows["pixels"][:, :CHANNELS], FACTOR) * Autoencoder.config.scaling_factor
    assert (clean - mean).abs().max() < 0.1 * 0.5 * 5
    assert (clean - mean).abs().max() > 0


def test_what_is_drawn_depends_on_the_pair_and_the_step_alone():
    # So a resumed run, or one with more workers, draws the same.
    together, alone = encoder()(batch(1, 2, 3), 5), encoder()(batch(2), 5)
    for name in ("timesteps", "target", "noisy", "hidden"):
        assert torch.equal(together[name][[1, 4]], alone[name]), name
    assert not torch.equal(encoder()(batch(2), 6)["target"], alone["target"])
    assert not torch.equal(encoder(seed=1)(batch(2), 5)["target"], alone["target"])
    assert not torch.equal(together["target"][0], together["target"][1])


def test_timesteps_stay_in_their_range():
    inside = encoder(min_timestep=200, max_timestep=210)
    drawn = {int(t) for step in range(60) for t in inside(batch(1, 2), step)["timesteps"]}
    assert drawn <= set(range(200, 210))
    assert len(drawn) > 5
    assert max(int(t) for step in range(60) for t in encoder()(batch(1, 2), step)["timesteps"]) > 900


def test_pictures_need_not_be_square():
    wide = Image.new("RGB", (16, 8), (9, 9, 9))
    made = encoder()(collate_pairs(table(pair(0, wide, wide))), 0)
    assert made["noisy"].shape == made["target"].shape == (2, CHANNELS, 2, 4)


def test_another_kind_of_prediction_is_refused():
    with pytest.raises(ValueError, match="needs epsilon prediction, not v_prediction"):
        PairEncoder(pipeline("v_prediction"), DpoConfig(), 0)

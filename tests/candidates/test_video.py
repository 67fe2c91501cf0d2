import numpy as np
import pytest
from policies import SIZE, decode_frames

from urm_ray.candidates.video import VideoSampler
from urm_ray.config_policy import SamplerConfig
from urm_ray.store import StoreError

REQUESTS = [("a red circle", 5), ("a blue square", 6), ("a red circle", 7)]


@pytest.fixture
def sampler(video_policy, plain_clips):
    return lambda **settings: VideoSampler(
        video_policy, SamplerConfig(**{"steps": 2, "frames": 3, "fps": 6.0, "batch": 3} | settings), device="cpu"
    )


def pixels(candidate: dict) -> np.ndarray:
    return np.stack([np.asarray(frame) for frame in decode_frames(candidate["media"])]).astype(int)


def test_every_request_gives_one_clip_in_its_place_with_its_seed(sampler):
    found = sampler().sample(REQUESTS)
    assert [(c["index"], c["seed"], c["error"], c["text"]) for c in found] == [
        (i, seed, None, None) for i, (_, seed) in enumerate(REQUESTS)
    ]
    for candidate in found:
        media = candidate["media"]
        assert (media["kind"], media["frames"], media["fps"]) == ("video", 3, 6.0)
        assert (media["width"], media["height"]) == (SIZE, SIZE)
    assert len({c["media"]["sha256"] for c in found}) == 3


def test_a_clip_depends_on_its_prompt_and_seed_and_not_on_its_neighbours(sampler):
    together, alone = sampler().sample(REQUESTS), sampler(batch=1).sample(REQUESTS)
    for one, other in zip(together, alone, strict=True):
        assert np.abs(pixels(one) - pixels(other)).max() <= 1
    assert sampler().sample(REQUESTS) == together


def test_size_and_guidance_are_the_configured_ones(sampler):
    plain = sampler(height=8, width=24).sample(REQUESTS[:1])[0]
    assert (plain["media"]["width"], plain["media"]["height"]) == (24, 8)
    guided = sampler(height=8, width=24, guidance=9.0).sample(REQUESTS[:1])[0]
    assert np.abs(pixels(plain) - pixels(guided)).max() > 1


def test_what_is_not_wanted_is_not_made_and_the_rest_stays_the_same(sampler):
    whole = sampler(batch=2).sample(REQUESTS)
    assert sampler(batch=2).sample(REQUESTS, [False, False, True]) == [{"index": 0}, {"index": 1}, whole[2]]


def test_frames_that_are_not_numbers_are_an_error_of_that_clip_alone(sampler):
    # Defect 13: what could not be read became black frames and was scored as real.
    made = sampler()
    original = made.pipeline.decode_latents

    def spoiled(latents):
        video = original(latents)
        video[1, :, 2, 0, 0] = float("nan")
        return video

    made.pipeline.decode_latents = spoiled
    found = made.sample(REQUESTS)
    assert [c["error"] for c in found] == [None, "pixels are not numbers", None]
    assert found[1]["media"] is None


def test_a_pipeline_for_pictures_is_refused(image_policy):
    with pytest.raises(StoreError, match="where a text-to-video pipeline is needed"):
        VideoSampler(image_policy, SamplerConfig(), device="cpu")

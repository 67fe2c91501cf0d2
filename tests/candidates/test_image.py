from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.candidates import diffusion
from urm_ray.candidates.image import ImageSampler, seeds
from urm_ray.config_policy import SamplerConfig
from urm_ray.media import decode_image
from urm_ray.store import StoreError


@given(st.integers(0, 5), st.text(min_size=1, max_size=8), st.integers(1, 10))
def test_seeds_depend_on_ids_alone_and_more_candidates_keep_the_first_ones(run_seed, prompt_id, count):
    found = seeds(run_seed, prompt_id, count)
    assert len(set(found)) == count
    assert seeds(run_seed, prompt_id, count + 3)[:count] == found
    assert not set(found) & set(seeds(run_seed + 1, prompt_id, count))
    assert not set(found) & set(seeds(run_seed, prompt_id + "x", count))


class FakePipeline:
    """Makes pictures out of the noise it is given; it keeps what it was asked."""

    vae_scale_factor = 2
    unet = SimpleNamespace(config={"sample_size": 4})

    def __init__(self) -> None:
        self.calls: list[dict] = []

    def __call__(self, prompts, *, generator, height, width, negative_prompt=None, **options):
        told = {} if negative_prompt is None else {"negative_prompt": negative_prompt}
        self.calls.append({"prompts": list(prompts), "height": height, "width": width, **told, **options})
        pixels = []
        for prompt, dice in zip(prompts, generator, strict=True):
            seed = dice.initial_seed()
            pixels.append(np.random.default_rng(seed % 2**32).random((height, width, 3)))
            if prompt == "broken":
                pixels[-1][0, 0, 0] = np.nan
            if prompt == "bright":
                pixels[-1] += 5.0
        return SimpleNamespace(images=np.stack(pixels), nsfw_content_detected=[p == "blanked" for p in prompts])


@pytest.fixture
def made(monkeypatch):
    pipeline = FakePipeline()
    monkeypatch.setattr(diffusion, "load_pipeline", lambda *a: pipeline)
    return lambda **settings: (ImageSampler("path", SamplerConfig(**settings)), pipeline)


REQUESTS = [("a cat", 5), ("a dog", 6), ("a cat", 7), ("blanked", 8), ("broken", 9)]


def test_every_request_gives_one_candidate_in_its_place_with_its_seed(made):
    sampler, pipeline = made(batch=2, steps=3, guidance=1.5)
    found = sampler.sample(REQUESTS)
    assert [(c["index"], c["seed"]) for c in found] == [(i, seed) for i, (_, seed) in enumerate(REQUESTS)]
    assert [len(call["prompts"]) for call in pipeline.calls] == [2, 2, 1]
    assert pipeline.calls[0]["num_inference_steps"] == 3
    assert pipeline.calls[0]["guidance_scale"] == 1.5


def test_what_cannot_be_had_is_an_error_of_that_candidate_alone(made):
    # Defect 13: what could not be read became black frames and was scored as real.
    sampler, _ = made(batch=5)
    found = sampler.sample(REQUESTS)
    assert [c["error"] for c in found] == [None] * 3 + ["blanked by the safety checker", "pixels are not numbers"]
    assert [c["media"] is None for c in found] == [False] * 3 + [True, True]


def test_a_picture_depends_on_its_prompt_and_seed_and_not_on_its_neighbours(made):
    one, _ = made(batch=1)
    many, _ = made(batch=3)
    assert one.sample(REQUESTS) == many.sample(REQUESTS)


def test_pixels_are_rounded_and_kept_in_range(made):
    sampler, _ = made()
    picture = np.asarray(decode_image(sampler.sample([("a cat", 5)])[0]["media"]))
    assert np.array_equal(picture, (np.random.default_rng(5).random((8, 8, 3)) * 255).round().astype(np.uint8))
    bright = np.asarray(decode_image(sampler.sample([("bright", 5)])[0]["media"]))
    assert (bright == 255).all()


def test_the_size_is_the_pipelines_own_unless_it_is_set(made):
    sampler, pipeline = made()
    sampler.sample(REQUESTS[:1])
    assert (pipeline.calls[-1]["height"], pipeline.calls[-1]["width"]) == (8, 8)
    sampler, pipeline = made(height=4, width=6)
    sampler.sample(REQUESTS[:1])
    assert (pipeline.calls[-1]["height"], pipeline.calls[-1]["width"]) == (4, 6)


def test_a_negative_prompt_goes_to_every_picture_and_is_not_sent_unless_it_is_set(made):
    sampler, pipeline = made(negative_prompt="blurry")
    sampler.sample(REQUESTS[:2])
    assert pipeline.calls[-1]["negative_prompt"] == ["blurry", "blurry"]
    sampler, pipeline = made()
    sampler.sample(REQUESTS[:2])
    assert "negative_prompt" not in pipeline.calls[-1]


def test_a_setting_that_the_pipeline_knows_nothing_of_is_refused(made):
    # Many calls take any option and leave those they do not know aside.
    with pytest.raises(StoreError, match=r"sampler.max_sequence_length: FakePipeline takes none; leave it out"):
        made(max_sequence_length=128)


def test_what_is_not_wanted_is_not_made_and_the_rest_stays_the_same(made):
    # A restart must give the bytes of a run that was never stopped, so the batches of what is wanted stay whole.
    sampler, pipeline = made(batch=2)
    whole = sampler.sample(REQUESTS[:5])
    pipeline.calls.clear()
    some = sampler.sample(REQUESTS[:5], [False, False, False, True, False])
    assert [call["prompts"] for call in pipeline.calls] == [["a cat", "blanked"]]
    assert some[3] == whole[3]
    assert some[2] == whole[2]

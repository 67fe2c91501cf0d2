"""What is no number, and what went bad after it was checked: it costs its own row wherever it is met."""

import math

import pytest
import torch
from helpers import NOT_A_PICTURE, answer_pair, answer_table, candidate, candidate_set, pair_preference, picture
from PIL import Image
from poison.cases import BAD_PICTURES
from policies import picture_row

from urm_ray import schema
from urm_ray.candidates.answers import AnswerSampler, Asked
from urm_ray.candidates.image import ImageSampler
from urm_ray.config_policy import SamplerConfig
from urm_ray.config_training import DpoConfig, VlmDpoConfig
from urm_ray.evaluation.scorer import figures_of
from urm_ray.judge.protocol import protocol
from urm_ray.media import MediaError, encode_image, image_record
from urm_ray.training.collate import RewardCollate
from urm_ray.training.encode_pairs import EncodePairs
from urm_ray.training.encoded import collate_encoded
from urm_ray.training.guards import TrainingError, need_finite
from urm_ray.training.logps import ReferenceLogps
from urm_ray.training.rows import both_orders
from urm_ray.vlms import load_processor

REQUESTS = [("a red circle", 1), ("a blue square", 2), ("a green triangle", 3), ("a red square", 4)]
NAN = math.nan


@pytest.fixture(scope="module")
def sampler(image_policy) -> ImageSampler:
    return ImageSampler(image_policy, SamplerConfig(batch=4, steps=2, guidance=2.0), device="cpu")


@pytest.mark.parametrize("part", ["unet", "vae.decoder"])
def test_latents_that_are_no_numbers_are_never_a_black_picture(sampler, part):
    sound = sampler.sample(REQUESTS)
    module = sampler.pipeline.unet if part == "unet" else sampler.pipeline.vae.decoder
    third = (lambda rows: range(2, rows, 4)) if part == "unet" else (lambda rows: [2])  # of either half of guidance

    def hook(module, inputs, output):
        found = output if isinstance(output, torch.Tensor) else output[0]
        found[list(third(len(found)))] = NAN
        return output

    handle = module.register_forward_hook(hook)
    try:
        found = sampler.sample(REQUESTS)
    finally:
        handle.remove()
    assert (found[2]["media"], found[2]["error"]) == (None, "pixels are not numbers")
    assert [found[n] for n in (0, 1, 3)] == [sound[n] for n in (0, 1, 3)]
    assert all(one["error"] is None for one in sound)


def test_a_weight_that_is_no_number_makes_no_picture_at_all(image_policy):
    broken = ImageSampler(image_policy, SamplerConfig(batch=4, steps=1), device="cpu")
    next(broken.pipeline.unet.parameters()).data.view(-1)[0] = NAN
    found = broken.sample(REQUESTS)
    assert {one["error"] for one in found} == {"pixels are not numbers"}
    assert [one["media"] for one in found] == [None] * 4


def test_logits_that_are_no_numbers_cost_their_answers(vlm_path, monkeypatch):
    config = SamplerConfig(answers={"max_new_tokens": 24, "temperature": 1.0})
    sampler = AnswerSampler(vlm_path, config, device="cpu")
    asked = [Asked("Describe the image.", (picture(shade),)) for shade in (30, 90, 200)]
    requests = [(one, 10 * n + k) for n, one in enumerate(asked) for k in range(2)]
    sound = sampler.sample(requests)
    read = AnswerSampler._read

    def spoiled(self, groups):
        scores, state = read(self, groups)
        scores[2:4] = NAN
        return scores, state

    monkeypatch.setattr(AnswerSampler, "_read", spoiled)
    found = sampler.sample(requests)
    assert [one["error"] for one in found[2:4]] == ["the policy's logits are not numbers"] * 2
    assert [*found[:2], *found[4:]] == [*sound[:2], *sound[4:]]


@pytest.fixture(scope="module")
def encode(image_policy) -> EncodePairs:
    return EncodePairs(image_policy, DpoConfig(reference="stored", stored_draws=2), 0, device="cpu")


def encoded(encode, rows) -> list[dict]:
    return encode(schema.table_of(rows, schema.PREFERENCE_PAIR)).to_pylist()


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_picture_that_went_bad_after_it_was_judged_costs_its_pair(encode, name):
    bad = candidate(0, media=image_record(BAD_PICTURES[name].make(), 8, 8))
    rows = [picture_row(0), picture_row(1, chosen=bad), picture_row(2)]
    found = encoded(encode, rows)
    assert [row["dropped"] is None for row in found] == [True, False, True]
    assert found[1]["dropped"].startswith("media_error: ")
    assert (found[1]["chosen_mean"], found[1]["conditioning"]) == (None, None)
    assert [found[0], found[2]] == encoded(encode, [rows[0], rows[2]])


@pytest.mark.parametrize("part", ["posterior", "conditioning", "reference"])
def test_a_pair_whose_numbers_are_none_is_dropped_and_never_trained_on(encode, monkeypatch, part):
    rows = [picture_row(n) for n in range(3)]
    sound = encoded(encode, rows)
    calls = iter(range(99))
    family = encode.family
    if part == "reference":
        plain = encode._reference_errors
        monkeypatch.setattr(encode, "_reference_errors", lambda *a: plain(*a) * (NAN if next(calls) == 1 else 1))
    elif part == "conditioning":
        told = family.conditioning
        spoil = lambda found: {name: value * NAN for name, value in found.items()}  # noqa: E731
        monkeypatch.setattr(
            type(family), "conditioning", lambda _, *a: spoil(told(*a)) if next(calls) == 1 else told(*a)
        )
    else:
        made = family.posterior
        nothing = lambda found: tuple(one * NAN for one in found)  # noqa: E731
        monkeypatch.setattr(
            type(family), "posterior", lambda _, *a: nothing(made(*a)) if next(calls) == 1 else made(*a)
        )
    found = encoded(encode, rows)
    assert "not numbers" in found[1]["dropped"]
    assert [found[0], found[2]] == [sound[0], sound[2]]
    kept = schema.table_of([row for row in found if row["dropped"] is None], schema.ENCODED_PAIR)
    batch = collate_encoded(kept)
    assert all(torch.isfinite(batch[name]).all() for name in ("mean", "std", "reference"))


def test_what_is_no_number_in_a_batch_stops_a_training_and_names_its_pairs():
    with pytest.raises(TrainingError, match="its pairs are pair3, pair4"):
        need_finite(NAN, 2, ["pair3", "pair4"])


@pytest.fixture(scope="module")
def reference(vlm_path) -> ReferenceLogps:
    return ReferenceLogps(vlm_path, VlmDpoConfig(reference_batch=1), "digest", device="cpu")


POISONED_PAIRS = {
    "a context that is no picture": ({"context": [NOT_A_PICTURE]}, "media_error"),
    "a context of no kind": ({"context": [encode_image(picture()) | {"kind": None}]}, "media_error"),
    "a strip": ({"context": [encode_image(Image.new("RGB", (900, 3)))]}, "media_error"),
    "no answer": ({"chosen": candidate(0, media=None, text=None)}, "no_answer"),
    "a slot in an answer": ({"rejected": candidate(0, media=None, text="a <|image_pad|>")}, "special_token"),
}


@pytest.mark.parametrize(("changes", "reason"), POISONED_PAIRS.values(), ids=list(POISONED_PAIRS))
def test_a_pair_of_answers_that_cannot_be_trained_on_says_why(reference, changes, reason):
    rows = [answer_pair(0), answer_pair(1, **changes), answer_pair(2)]
    found = reference(answer_table(rows)).to_pylist()
    assert [row["unfit"] for row in found] == [None, reason, None]
    assert found[1]["ref_chosen_logps"] is None
    assert [found[0], found[2]] == reference(answer_table([rows[0], rows[2]])).to_pylist()


def test_log_probabilities_that_are_no_numbers_cost_their_pair(reference, monkeypatch):
    plain, calls = reference._logps, iter(range(9))
    monkeypatch.setattr(reference, "_logps", lambda pairs: plain(pairs) * (NAN if next(calls) == 1 else 1))
    found = reference(answer_table([answer_pair(n) for n in range(3)])).to_pylist()
    assert [row["unfit"] for row in found] == [None, "not_a_number", None]
    assert (found[1]["ref_chosen_logps"], found[1]["ref_rejected_logps"]) == (None, None)


def test_a_preference_that_went_bad_is_named_where_it_stops_a_training(vlm_path):
    collate = RewardCollate(load_processor(vlm_path), protocol("unified"))
    bad = {"media": NOT_A_PICTURE, "text": None}
    row = pair_preference(7, candidates=[bad, pair_preference()["candidates"][0]])
    with pytest.raises(MediaError, match="preference pair7: the bytes are not a picture"):
        collate(both_orders(schema.table_of([pair_preference(1), row], schema.PREFERENCE)))


def test_a_figure_that_is_no_number_is_none():
    class Shade:
        def figures(self, prompt, candidate, context=()):
            shade = candidate.getpixel((0, 0))[0]
            return {"shade": NAN if shade == 1 else math.inf if shade == 2 else float(shade), "whole": 1.0}

    row = candidate_set(4, context=None)
    row["candidates"][3]["media"] = NOT_A_PICTURE
    found = {(one["index"], one["name"]): one["value"] for one in figures_of(Shade(), row)}
    assert found == {(0, "shade"): 0.0, (0, "whole"): 1.0, (1, "whole"): 1.0, (2, "whole"): 1.0}

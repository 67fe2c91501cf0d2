"""Judges of every family: what questions have in common is computed once, and readings are the same as without."""

import inspect

import pytest
import torch
from families.plain import NATIVE, Plain, content, film, noise

from urm_ray.clips import Clip
from urm_ray.config_policy import ClipConfig
from urm_ray.judge.engine import Question
from urm_ray.judge.processed_once import EachOnce
from urm_ray.judge.transformers_engine import TransformersEngine
from urm_ray.vlms import PIXELS

BETTER = ("Image 1 is better than Image 2.", "Image 2 is better than Image 1.", "Both images are equally good.")
SCORES = tuple(f"Final Score: {score}" for score in (1, 2, 10, 11, 100))
SLIDING = {"gemma3"}
"""Whose layers do not all look back at everything."""
BY_ROW = {"idefics3"}
"""Whose processors put the pictures of a row in one tensor, so that they are encoded by row."""


def question(parts, answers) -> Question:
    return Question(
        [{"role": "user", "content": content(parts)}], tuple(p for p in parts if not isinstance(p, str)), answers
    )


def prompt_of(one, two, about=()) -> list[Question]:
    """All that is asked about two candidates: both orders, and a point each."""
    head = [*about, "Which of these fits the caption better, or how well does it fit? Image 1:"]
    pairs = [[*head, a, "Image 2:", b, "Caption: two squares"] for a, b in ((one, two), (two, one))]
    return [question(p, BETTER) for p in pairs] + [
        question([*head, c, "Caption: two squares"], SCORES) for c in (one, two)
    ]


def engine_of(vlm: Plain, **settings) -> TransformersEngine:
    return TransformersEngine(vlm.path, device="cpu", clips=ClipConfig(count=4, **settings))


class Counted:
    """How much a model does: rows of pixels that are encoded, tokens (padding not counted) that are read."""

    def __init__(self, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pixels, self.tokens = 0, 0
        backbone = engine.model.base_model
        for kind in PIXELS:
            if plain := getattr(backbone, f"get_{kind}_features", None):
                monkeypatch.setattr(backbone, f"get_{kind}_features", self._counting(plain))
        self.hook = engine.model.get_decoder().register_forward_hook(self._read, with_kwargs=True)

    def _counting(self, plain):
        def encode(*args, **inputs):
            pixels = args[0] if args else next(inputs[name] for name in PIXELS.values() if name in inputs)
            self.pixels += len(pixels)
            return plain(*args, **inputs)

        encode.__signature__ = inspect.signature(plain)  # what is asked for by name is found in it
        return encode

    def _read(self, _, args, inputs, output):
        mask = inputs["attention_mask"]
        mask = mask["full_attention"] if isinstance(mask, dict) else mask
        self.tokens += int(mask[:, -inputs["inputs_embeds"].shape[1] :].sum())


def compare(engine: TransformersEngine, questions: list[Question], monkeypatch) -> tuple[Counted, Counted]:
    """Asserts that sharing reads the same, and returns what was done with it and without."""
    counts, readings = [], []
    for shares in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(engine, "shares", shares)
            patch.setattr(engine, "batch_tokens", 10_000)
            counts.append(Counted(engine, patch))
            readings.append(engine.read(questions))
            counts[-1].hook.remove()
    for one, other in zip(*readings, strict=True):
        assert [*one.probabilities, one.mass] == pytest.approx([*other.probabilities, other.mass], abs=1e-5)
    return counts[0], counts[1]


def test_a_judge_says_whether_it_shares(vlm):
    if vlm.name in SLIDING:
        with pytest.warns(UserWarning, match="every question is read on its own: its layers have sliding_attention"):
            assert not engine_of(vlm).shares
    else:
        assert engine_of(vlm).shares


def test_pictures_of_a_prompt_are_encoded_once_and_shared_beginnings_read_once(vlm, monkeypatch):
    if vlm.name in SLIDING:
        pytest.skip("its layers look back at a window")
    questions = prompt_of(noise(1, 24, 24), noise(2, 24, 24))
    shared, plain = compare(engine_of(vlm), questions, monkeypatch)
    if vlm.name not in BY_ROW:
        assert shared.pixels < plain.pixels
    assert shared.tokens < plain.tokens * 0.8


def test_what_the_prompt_is_about_is_encoded_and_read_once(vlm, monkeypatch):
    if vlm.name in SLIDING:
        pytest.skip("its layers look back at a window")
    about = noise(3, 32, 32)
    words = ["What is in this picture, and where is it? Answer: ", "Question: Is this right? "]
    questions = [question([about, words[0] * n, words[1]], SCORES[:2]) for n in (1, 2, 3, 4)]
    shared, plain = compare(engine_of(vlm), questions, monkeypatch)
    if vlm.name not in BY_ROW:
        assert shared.pixels * 4 == plain.pixels
    assert shared.tokens < plain.tokens * 0.6


def test_clips_with_equal_frames_at_other_rates_are_not_taken_for_each_other(vlm, monkeypatch):
    if not NATIVE.get(vlm.name):
        pytest.skip("it takes no native clips of any length")
    frames = film(5, 4).frames
    one, two = Clip(frames, [0.0, 0.5, 1.0, 1.5]), Clip(frames, [0.0, 2.0, 4.0, 6.0])
    engine = engine_of(vlm, shown="native")
    compare(engine, prompt_of(one, two), monkeypatch)


def test_few_tokens_a_pass_change_nothing(vlm):
    engine = engine_of(vlm)
    questions = prompt_of(noise(1, 24, 24), noise(2, 24, 24), [noise(4, 24, 24)])
    wanted = engine.read(questions)
    engine.batch_tokens = 1
    for one, other in zip(engine.read(questions), wanted, strict=True):
        assert [*one.probabilities, one.mass] == pytest.approx([*other.probabilities, other.mass], abs=1e-5)


ONE_BY_ONE = {"llava_onevision", "idefics3", "internvl"}
"""Whose processors see a picture otherwise by what is beside it, or put the pictures of a row together."""


def test_pictures_of_a_prompt_are_processed_once(vlm, monkeypatch):
    engine = engine_of(vlm)
    part, seen = engine.processor.image_processor, []
    assert isinstance(part, EachOnce) == (vlm.name not in ONE_BY_ONE)
    questions = prompt_of(noise(1, 24, 24), noise(2, 16, 40))
    if vlm.name in ONE_BY_ONE:
        return
    once = engine.chats(questions)
    plain = part.processor
    with monkeypatch.context() as patch:
        preprocess = plain.preprocess
        patch.setattr(
            plain, "preprocess", lambda pictures, *a, **b: seen.extend(pictures) or preprocess(pictures, *a, **b)
        )
        engine.chats(questions)
    assert len(seen) == 2
    monkeypatch.setattr(engine.processor, "image_processor", plain)
    apart = engine.chats(questions)
    assert once.keys() == apart.keys()
    for name, values in apart.items():
        torch.testing.assert_close(once[name], values, rtol=0, atol=0)

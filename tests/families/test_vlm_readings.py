"""Judges of every family: readings are those of plain forward passes."""

import pytest
import torch
from families.plain import NATIVE, Plain, as_frames, content, film, noise

from urm_ray.chat import ChatProcessor
from urm_ray.config_policy import ClipConfig
from urm_ray.judge.engine import Question
from urm_ray.judge.transformers_engine import TransformersEngine
from urm_ray.vlms import load_processor

BETTER = ("Image 1 is better than Image 2.", "Image 2 is better than Image 1.", "Both images are equally good.")
SCORES = tuple(f"Final Score: {score}" for score in (1, 2, 10))
"""One answer begins another, so what ends an answer counts."""
ASKED = {
    "words alone": (["how many circles are there?"], ("one", "two", "three")),
    "a picture": ([noise(1), "how many circles are there in this picture?"], SCORES),
    "a wide picture": ([noise(2, 40, 16), "Caption: two squares"], SCORES),
    "two pictures": (["Image 1:", noise(3), "Image 2:", noise(4, 24, 32), "Caption: a cat\nWhich is better?"], BETTER),
    "a clip": ([film(5), "what moves?"], ("the circle", "the square")),
    "two clips": (["Video 1:", film(6), "Video 2:", film(7), "Which video is better?"], BETTER),
    "both": ([noise(8), film(9), "Caption: a red circle"], SCORES),
}


def question(parts, answers) -> Question:
    media = tuple(part for part in parts if not isinstance(part, str))
    return Question([{"role": "user", "content": content(parts)}], media, answers)


QUESTIONS = [question(*asked) for asked in ASKED.values()]


def engine_of(vlm: Plain, shown="frames", **settings) -> TransformersEngine:
    return TransformersEngine(vlm.path, device="cpu", clips=ClipConfig(count=8, shown=shown), **settings)


def seen(parts, shown):
    """What a model is shown; a line's end parts the frames of a clip from a picture before it."""
    if shown == "native":
        return parts
    return as_frames([parts[0], "\n", *parts[1:]] if parts is ASKED["both"][0] else parts)


def wanted(vlm: Plain, shown: str) -> list[list[float]]:
    return [vlm.chances(seen(parts, shown), answers) for parts, answers in ASKED.values()]


@pytest.mark.parametrize("shown", ["frames", "native"])
def test_readings_in_mixed_batches_are_those_of_plain_forward_passes(vlm, shown):
    if shown not in vlm.shown:
        with pytest.raises(ValueError, match=r"has no slot for clips: set `clips\.shown` to frames"):
            engine_of(vlm, shown)
        return
    for batch in (3, 7):
        readings = engine_of(vlm, shown, batch=batch).read(QUESTIONS)
        for name, reading, chances in zip(ASKED, readings, wanted(vlm, shown), strict=True):
            assert reading.probabilities == pytest.approx(chances, abs=1e-4), name
            assert 0 < reading.mass <= 1


def test_answers_that_a_judge_writes_in_a_batch_are_those_that_generate_writes_alone(vlm):
    settings = {"do_sample": False, "max_new_tokens": 6, "pad_token_id": vlm.pad}
    for question, written, (parts, _) in zip(
        QUESTIONS, engine_of(vlm, batch=4).write(QUESTIONS, 6), ASKED.values(), strict=True
    ):
        inputs = vlm.inputs(seen(parts, "frames"))
        said = vlm.model.generate(**inputs, **settings)[0, inputs["input_ids"].shape[1] :]
        assert written.text == vlm.tokenizer.decode(said, skip_special_tokens=True).strip(), question


def test_labels_and_order_of_pictures_reach_every_model(vlm):
    labels, media = ("Image 1:", "Image 2:"), (noise(3), noise(4))
    parts = [[labels[0], media[0], labels[1], media[1], "?"], [labels[0], media[1], labels[1], media[0], "?"]]
    parts.append([*labels, *media, "?"])
    one, *others = engine_of(vlm).read([question(asked, BETTER) for asked in parts])
    for other in others:
        assert [*one.probabilities, one.mass] != pytest.approx([*other.probabilities, other.mass], abs=1e-6)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_computed_as_wished_with_equal_readings(vlm, attention):
    engine = engine_of(vlm, attention=attention)
    assert engine.model.config._attn_implementation == attention
    for reading, plain in zip(engine.read(QUESTIONS), engine_of(vlm).read(QUESTIONS), strict=True):
        assert reading.probabilities == pytest.approx(plain.probabilities, abs=1e-4)


def test_a_judge_in_half_precision_reads_as_a_plain_one_in_half_precision(vlm):
    half = Plain(vlm.name, vlm.path, torch.bfloat16)
    readings = engine_of(vlm, dtype="bfloat16").read(QUESTIONS)
    for name, reading, chances in zip(ASKED, readings, wanted(half, "frames"), strict=True):
        assert reading.probabilities == pytest.approx(chances, abs=0.05), name


def test_native_clips_of_any_length_are_taken_or_refused_when_the_judge_is_loaded(vlm):
    processor, rate = load_processor(vlm.path), ClipConfig(rate=2, shown="native")
    if NATIVE.get(vlm.name):
        parts = ["Video 1:", film(1, 4), "Video 2:", film(2, 7), "Which video is better?"]
        engine = TransformersEngine(vlm.path, device="cpu", clips=rate)
        (reading,) = engine.read([question(parts, BETTER)])
        assert reading.probabilities == pytest.approx(vlm.chances(parts, BETTER), abs=1e-4)
        return
    with pytest.raises(ValueError, match=r"clips of one length alone: set `clips\.count`|has no slot for clips"):
        ChatProcessor(processor, rate)


def test_every_text_begins_once(vlm):
    inputs = ChatProcessor(load_processor(vlm.path))(QUESTIONS)
    begin = vlm.tokenizer.bos_token_id
    for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
        own = ids[mask == 1].tolist()
        assert begin is None or (own[0] == begin and own.count(begin) == 1)

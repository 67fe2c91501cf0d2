import math

import pytest
import torch
from helpers import picture
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.clips import Clip
from urm_ray.config_policy import ClipConfig
from urm_ray.judge.engine import Question
from urm_ray.judge.protocol import protocol
from urm_ray.judge.transformers_engine import TransformersEngine, append_tokens

FORMS = [protocol("unified").form("image_generation", kind) for kind in ("pair", "point")]


@given(
    st.lists(st.tuples(st.integers(1, 6), st.lists(st.integers(10, 20), max_size=3).map(tuple)), min_size=1, max_size=4)
)
def test_tokens_are_appended_behind_each_rows_own_end(rows):
    width = max(length for length, _ in rows)
    inputs = {
        "input_ids": torch.tensor([[5] * n + [0] * (width - n) for n, _ in rows]),
        "attention_mask": torch.tensor([[1] * n + [0] * (width - n) for n, _ in rows]),
        "mm_token_type_ids": torch.tensor([[1] * n + [0] * (width - n) for n, _ in rows]),
        "pixel_values": torch.ones(7, 3),
    }
    append_tokens(inputs, [n for n, _ in rows], [tail for _, tail in rows], 0)
    wide = inputs["input_ids"].shape[1]
    assert wide == max(width, max(n + len(tail) for n, tail in rows))
    for r, (n, tail) in enumerate(rows):
        rest = wide - n - len(tail)
        assert inputs["input_ids"][r].tolist() == [5] * n + list(tail) + [0] * rest
        assert inputs["attention_mask"][r].tolist() == [1] * (n + len(tail)) + [0] * rest
        assert inputs["mm_token_type_ids"][r].tolist() == [1] * n + [0] * (wide - n)
    assert inputs["pixel_values"].shape == (7, 3)


@pytest.fixture(scope="module")
def engine(vlm_path) -> TransformersEngine:
    return TransformersEngine(vlm_path, device="cpu", batch=3)


def questions() -> list[Question]:
    pair, point = FORMS
    made = []
    for n, prompt in enumerate(
        ["a red circle", "two blue squares and a green cross", "a cat", "a red circle left of a blue cross"]
    ):
        made.append(Question(pair.messages(prompt), (picture(40 * n), picture(250 - 40 * n)), tuple(pair.answers)))
        made.append(Question(point.messages(prompt), (picture(40 * n),), tuple(point.answers)))
    return made


def spelled_out(engine: TransformersEngine, question: Question) -> list[float]:
    return answer_chances(engine, question.messages, question.answers, images=question.media)


def answer_chances(engine: TransformersEngine, messages, said, images, **media) -> list[float]:
    """Each answer's probability from a forward pass of its own over every one of its tokens, kept to the answers."""
    tokenizer = engine.processor.tokenizer
    text = engine.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    answers = [tuple(tokenizer(a + tokenizer.eos_token, add_special_tokens=False).input_ids) for a in said]
    if images:
        media["images"] = [list(images)]
    chances = []
    for answer, tokens in zip(said, answers, strict=True):
        inputs = engine.processor(text=[text + answer + tokenizer.eos_token], return_tensors="pt", **media)
        with torch.inference_mode():
            logits = engine.model(**inputs).logits[0, -len(tokens) - 1 : -1].double()
        chance = 1.0
        for depth, token in enumerate(tokens):
            allowed = sorted({a[depth] for a in answers if a[:depth] == tokens[:depth]})
            chance *= float(logits[depth][allowed].softmax(-1)[allowed.index(token)])
        chances.append(chance)
    return chances


def test_a_reading_is_what_forward_passes_over_the_whole_answers_give(engine):
    for question, reading in zip(questions()[:2], engine.read(questions()[:2]), strict=True):
        assert reading.probabilities == pytest.approx(spelled_out(engine, question), abs=1e-4)
        assert math.isclose(sum(reading.probabilities), 1, abs_tol=1e-5)
        assert 0 <= reading.mass <= 1 + 1e-6


def test_a_reading_does_not_depend_on_its_neighbours(engine):
    # Questions of different kinds and lengths share a batch; the pictures of one must not slide into another's slots.
    together = engine.read(questions())
    for question, reading in zip(questions(), together, strict=True):
        alone = engine.read([question])[0]
        assert reading.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
        assert reading.mass == pytest.approx(alone.mass, abs=1e-4)


def test_the_order_of_pictures_reaches_the_model(engine):
    pair = questions()[0]
    swapped = Question(pair.messages, pair.media[::-1], pair.answers)
    one, two = engine.read([pair, swapped])
    assert one.probabilities != pytest.approx(two.probabilities, abs=1e-6)


CLIP_FORMS = [protocol("unified").form("video_generation", kind) for kind in ("pair", "point")]
ABOUT_A_CLIP = protocol("unified").form("video_understanding", "pair")


def film(*shades: int, seconds: float = 0.25) -> Clip:
    return Clip([picture(shade) for shade in shades], [n * seconds for n in range(len(shades))])


def clip_questions() -> list[Question]:
    pair, point = CLIP_FORMS
    one, two = film(10, 200, 60), film(250, 0, 100, 30, 90, seconds=1.0)
    said = ABOUT_A_CLIP.messages("what moves?", ["video"], ["the circle", "the circle and the square"])
    return [
        Question(pair.messages("a red circle moves right"), (one, two), tuple(pair.answers)),
        Question(point.messages("a cat"), (two,), tuple(point.answers)),
        Question(said, (one,), tuple(ABOUT_A_CLIP.answers)),
    ]


def spelled_out_clips(engine: TransformersEngine, question: Question) -> list[float]:
    """As `spelled_out`, of a question about clips, which are given to the processor as they are."""
    content, images, clips = [], [], iter(question.media)
    for part in question.messages[0]["content"]:
        frames = next(clips).frames if part["type"] == "video" and not engine.chats.native else []
        content += [{"type": "image"}] * len(frames) or [part]
        images += frames
    messages = [{"role": "user", "content": content}]
    given = {"images": tuple(images)}
    if engine.chats.native:
        given = {"images": (), "videos": [clip.frames for clip in question.media], "do_sample_frames": False}
        given["video_metadata"] = [{"total_num_frames": len(c.frames), "fps": c.rate} for c in question.media]
    return answer_chances(engine, messages, question.answers, **given)


@pytest.fixture(scope="module", params=["frames", "native"])
def watching(request, vlm_path) -> TransformersEngine:
    return TransformersEngine(vlm_path, device="cpu", batch=11, clips=ClipConfig(shown=request.param))


def test_a_reading_of_clips_is_what_forward_passes_over_the_whole_answers_give(watching):
    for question, reading in zip(clip_questions(), watching.read(clip_questions()), strict=True):
        assert reading.probabilities == pytest.approx(spelled_out_clips(watching, question), abs=1e-4)


def test_a_reading_of_clips_does_not_depend_on_pictures_and_clips_beside_them(watching):
    mixed = [q for pair in zip(questions(), clip_questions() * 2, strict=False) for q in pair]
    for question, reading in zip(mixed, watching.read(mixed), strict=True):
        alone = watching.read([question])[0]
        assert reading.probabilities == pytest.approx(alone.probabilities, abs=1e-4)
        assert reading.mass == pytest.approx(alone.mass, abs=1e-4)


def test_a_frame_that_moves_from_one_clip_into_the_other_changes_the_reading(watching):
    pair = CLIP_FORMS[0]
    parted = [
        Question(pair.messages("a cat"), (film(*shades[:n]), film(*shades[n:])), tuple(pair.answers))
        for shades in [(10, 240, 60, 180, 100, 220)]
        for n in (2, 4)
    ]
    one, two = watching.read(parted)
    assert [*one.probabilities, one.mass] != pytest.approx([*two.probabilities, two.mass], abs=1e-5)


def test_how_fast_a_native_clip_runs_reaches_the_model(vlm_path):
    engine = TransformersEngine(vlm_path, device="cpu", clips=ClipConfig(shown="native"))
    point = CLIP_FORMS[1]
    slow, fast = (
        Question(point.messages("a cat"), (film(10, 240, 60, 180, seconds=s),), tuple(point.answers)) for s in (2, 0.25)
    )
    one, two = engine.read([slow, fast])
    assert [*one.probabilities, one.mass] != pytest.approx([*two.probabilities, two.mass], abs=1e-5)


def test_no_questions_have_no_readings(engine):
    assert engine.read([]) == []


def test_tokens_are_counted_and_those_that_questions_share_once(engine):
    question = questions()[0]
    length = int(engine.chats([question])["attention_mask"].sum())
    engine.spent.take()
    engine.read([question])
    once = engine.spent.take()
    assert once.keys() == {"tokens_read"}
    assert length <= once["tokens_read"] < length + 20  # answers' own tokens are read behind it
    engine.read([question, question])
    assert engine.spent.take() == once
    engine.write([question, question], 3)
    written = engine.spent.take()
    assert written["tokens_read"] == 2 * length
    assert 2 <= written["tokens_decoded"] <= 6


def test_what_is_read_while_a_judge_is_loaded_is_not_counted(vlm_path):
    assert TransformersEngine(vlm_path, device="cpu").spent.take() == {}

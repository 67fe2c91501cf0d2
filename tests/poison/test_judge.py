"""A judge that answers nonsense, or not at all, to one question among others: that verdict is open, with its reason."""

import math
import re

import pytest
from helpers import (
    NOT_A_PICTURE,
    FakeEngine,
    FakeWriter,
    candidate,
    candidate_set,
    pair_preference,
    picture,
    point_preference,
    prefer_darker,
    shade_of,
)
from PIL import Image

from urm_ray import schema
from urm_ray.config import Config
from urm_ray.evaluation.preferences import agreement, ask_preferences
from urm_ray.judge.engine import Question, Reading, Written
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.judge.transformers_engine import TransformersEngine
from urm_ray.judge.unanswered import EngineError, QuestionError, Unread, Unwritten, ask_able
from urm_ray.media import encode_image
from urm_ray.pairs.sifting import sift

UNIFIED = protocol("unified")
POISON = 7
"""The shade of the picture that makes a judge go wrong."""
PAIRS = [(a, b) for a in range(4) for b in range(4) if a != b]


def is_poisoned(question: Question) -> bool:
    return POISON in map(shade_of, question.media)


def judged(engine, readout="logits", third: int = POISON) -> dict:
    """The verdict columns about four pictures, of which the third may be poisoned."""
    shades = [1, 2, third, 4]
    row = candidate_set(0, candidates=[candidate(i, media=encode_image(picture(s))) for i, s in enumerate(shades)])
    return JudgeScorer(engine, UNIFIED, 0.1, readout=readout).judge_set(row, PAIRS)


def parted(found: dict) -> tuple[list[dict], list[dict]]:
    """The verdicts about the third picture, and the others."""
    said = [(2 in (v["first"], v["second"]), v) for v in found["pair_verdicts"]]
    said += [(v["index"] == 2, v) for v in found["point_verdicts"]]
    return [v for about, v in said if about], [v for about, v in said if not about]


def same(length: int) -> list[float]:
    return [1 / length] * length


READINGS = {
    "not a number": (lambda n: Reading([math.nan] * n, 1.0), "the judge's logits are not numbers"),
    "one that is not a number": (lambda n: Reading([*same(n)[1:], math.nan], 1.0), "logits are not numbers"),
    "without end": (lambda n: Reading([math.inf] + [0.0] * (n - 1), 1.0), "logits are not numbers"),
    "a mass that is not a number": (lambda n: Reading(same(n), math.nan), "logits are not numbers"),
    "no mass": (lambda n: Reading(same(n), 0.0), "hold only 0.000 of the probability"),
    "little mass": (lambda n: Reading(same(n), 0.099), "hold only 0.099 of the probability"),
    "no probability": (lambda n: Reading([0.0] * n, 1.0), "add up to 0.000"),
    "too much probability": (lambda n: Reading([1.0] * n, 1.0), r"add up to \d.000"),
    "an error": (lambda n: Unread([math.nan] * n, math.nan, "the server is tired"), "the server is tired"),
}


@pytest.mark.parametrize(("make", "reason"), READINGS.values(), ids=list(READINGS))
def test_a_reading_that_is_none_leaves_its_verdict_open_and_the_others_as_they_were(make, reason):
    engine = FakeEngine(lambda q: make(len(q.answers)) if is_poisoned(q) else prefer_darker(q))
    poisoned, others = parted(judged(engine))
    assert len(poisoned) == 7
    assert {v["outcome"] for v in poisoned} == {"unparsed"}
    assert all(re.search(reason, v["reason"]) for v in poisoned)
    assert all(v.get("score") is None and v.get("p_first") is None for v in poisoned)
    assert others == parted(judged(FakeEngine(prefer_darker), third=3))[1]
    assert {v["reason"] for v in others} == {None}


TEXTS = {
    "nothing": ("", "no answer in the form"),
    "blanks": (" \n\t", "no answer in the form"),
    "another language": ("Das erste Bild ist eindeutig besser als das zweite.", "no answer in the form"),
    "both": ("Image 1 is better than Image 2. Image 2 is better than Image 1. Final Score: 2\nFinal Score: 4", ""),
    "neither": ("I looked at the pictures for a long time.", "no answer in the form"),
    "a megabyte": ("better " * 150_000, "no answer in the form"),
    "a page": ("<html><script>alert(1)</script></html>", "no answer in the form"),
    "control characters": ("\0\x01\x1b[31m" * 50, "no answer in the form"),
    "half a word": ("Image", "no answer in the form"),
    "a number that is none": ("Final Score: NaN. Image NaN is better.", ""),
    "a number off the scale": ("Final Score: 99999999999999999999. Image 3 is better than Image 4.", ""),
    "brackets": ("[" * 5000 + "{" * 5000, "no answer in the form"),
    "thoughts without end": ("<think>Image 1 is better than Image 2. Final Score: 3", ""),
}


@pytest.mark.parametrize(("text", "reason"), TEXTS.values(), ids=list(TEXTS))
def test_nonsense_leaves_its_verdict_open_with_its_text_and_the_others_as_they_were(text, reason):
    def answer(question: Question) -> str:
        if is_poisoned(question):
            return text
        return "Final Score: 3" if len(question.media) == 1 else "Image 1 is better than Image 2."

    poisoned, others = parted(judged(FakeWriter(answer), "generate"))
    assert {v["outcome"] for v in poisoned} == {"unparsed"}
    assert all(v["reason"] and reason in v["reason"] for v in poisoned)
    assert {v["text"] for v in poisoned} == {text}
    assert others == parted(judged(FakeWriter(answer), "generate", third=3))[1]
    assert {v["outcome"] for v in others} == {"first", "score"}


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        (Unwritten.of(QuestionError("the server is tired")), "unparsed", "the server is tired"),
        (Written("Image 1 is better than Im", ended=False), "unparsed", "no end within"),
        (Written("I'm sorry, but I can't help with that."), "refused", "the judge declines"),
    ],
)
def test_an_answer_that_was_not_given_is_told_from_nonsense(said, outcome, reason):
    def answer(question: Question) -> Written:
        sound = Written("Final Score: 3" if len(question.media) == 1 else "Image 1 is better than Image 2.")
        return said if is_poisoned(question) else sound

    poisoned, others = parted(judged(FakeWriter(answer), "generate"))
    assert {v["outcome"] for v in poisoned} == {outcome}
    assert all(reason in v["reason"] for v in poisoned)
    assert {v["outcome"] for v in others} == {"first", "score"}


def test_nothing_is_sifted_from_verdicts_that_are_open():
    found = judged(FakeEngine(lambda q: Reading([math.nan] * len(q.answers), 1.0)))
    row = candidate_set(4) | found | {"judge_digest": "judge"}
    assert schema.table_of([row], schema.JUDGED_SET).to_pylist()[0]["point_verdicts"] == found["point_verdicts"]
    made = sift(row, Config().pairs)
    assert made["dropped"] == "unparsed"
    assert (made["chosen"], made["rejected"], made["margin"]) == (None, None, None)


def test_held_out_preferences_that_a_judge_cannot_answer_change_no_others():
    pale = [{"media": encode_image(picture(3)), "text": None}]
    rows = [pair_preference(n) for n in range(3)] + [point_preference(n, candidates=pale) for n in range(2)]
    bad = {"media": encode_image(picture(POISON)), "text": None}
    poisoned = [
        pair_preference(8, candidates=[bad, rows[0]["candidates"][1]]),
        point_preference(8, candidates=[{"media": NOT_A_PICTURE, "text": None}]),
    ]
    engine = FakeEngine(lambda q: Reading([math.nan] * len(q.answers), 1.0) if is_poisoned(q) else prefer_darker(q))
    scorer = JudgeScorer(engine, UNIFIED)
    found = ask_preferences(scorer, [*rows[:2], *poisoned, *rows[2:]])
    assert [*found[:2], *found[4:]] == ask_preferences(scorer, rows)
    assert [one["outcomes"] for one in found[2:4]] == [["unparsed"] * 2, ["media_error"]]
    assert [one[name] for one in found[2:4] for name in ("p_first", "judged")] == [None] * 4
    assert found[2]["reasons"] == ["the judge's logits are not numbers"] * 2
    assert found[3]["reasons"] == ["the bytes are not a picture in PNG, JPEG, WEBP"]
    assert {reason for one in ask_preferences(scorer, rows) for reason in one["reasons"]} == {None}
    assert agreement(found, 0, 10)["unparsed"] == 2


@pytest.fixture(scope="module")
def engine(vlm_path) -> TransformersEngine:
    return TransformersEngine(vlm_path, device="cpu")


@pytest.fixture
def breaking(engine, monkeypatch):
    """A processor that fails at a picture of one size, as those of some families do at strips."""
    real = engine.processor.image_processor

    class Breaking:
        def __getattr__(self, name):
            return getattr(real, name)

        def __call__(self, images, **settings):
            flat = [one for some in images for one in (some if isinstance(some, list) else [some])]
            if any(one.size == (90, 9) for one in flat):
                raise ValueError("absolute aspect ratio must be smaller than 9")
            return real(images, **settings)

    monkeypatch.setattr(engine.processor, "image_processor", Breaking())
    return engine


def test_a_question_that_the_processor_fails_at_costs_itself_alone(breaking):
    form = UNIFIED.form("image_generation", "point")
    shown = [picture(20), Image.new("RGB", (90, 9)), picture(90)]
    questions = [Question(form.messages("a cat"), (one,), tuple(form.answers)) for one in shown]
    one, broken, two = breaking.read(questions)
    assert isinstance(broken, Unread)
    assert broken.reason == "the judge's processor fails: absolute aspect ratio must be smaller than 9"
    assert [one, two] == breaking.read([questions[0], questions[2]])
    written = breaking.write(questions, 4)
    assert isinstance(written[1], Unwritten)
    assert [written[0], written[2]] == breaking.write([questions[0], questions[2]], 4)
    assert [type(one) for one in breaking.read(questions[1:2])] == [Unread]


def test_an_error_that_no_question_is_to_blame_for_is_raised():
    def fails(questions):
        raise EngineError("the device is gone")

    with pytest.raises(EngineError, match="the device is gone"):
        ask_able([Question([], (), ("a",))], fails, lambda question: None, Unread.of)


def test_a_strip_never_reaches_a_processor_that_would_refuse_it(engine):
    strips = [encode_image(Image.new("RGB", size, (9, 9, 40))) for size in ((2010, 10), (10, 2010), (2000, 10))]
    shown = [*(candidate(i, media=strip) for i, strip in enumerate(strips)), candidate(3)]
    found = JudgeScorer(engine, UNIFIED).judge_set(candidate_set(0, candidates=shown), [(0, 3), (2, 3), (3, 2)])
    assert [v["outcome"] for v in found["point_verdicts"]] == ["media_error"] * 2 + ["score"] * 2
    assert found["pair_verdicts"][0]["outcome"] == "media_error"
    assert {v["outcome"] for v in found["pair_verdicts"][1:]} <= {"first", "second", "tie"}

import math

import pyarrow as pa
import pytest
from helpers import (
    NOT_A_PICTURE,
    FakeEngine,
    answer_set,
    candidate,
    candidate_set,
    clip,
    picture,
    prefer_darker,
    shade_of,
)

from urm_ray import schema
from urm_ray.clips import decode_media
from urm_ray.config import JudgeConfig
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.judge.engine import Reading
from urm_ray.judge.item import Item, media_of, shown_of
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.judge.verdict import PairVerdict, PointVerdict
from urm_ray.media import MediaError, encode_image

UNIFIED = protocol("unified")
PAIR, POINT = (UNIFIED.form("image_generation", kind) for kind in ("pair", "point"))


def pair(*shades: int) -> Item:
    return Item("image_generation", "pair", "a red circle", tuple(picture(shade) for shade in shades))


def point(shade: int) -> Item:
    return Item("image_generation", "point", "a red circle", (picture(shade),))


def saying(probabilities, mass=1.0, min_mass=0.1) -> JudgeScorer:
    return JudgeScorer(FakeEngine(lambda q: Reading(list(probabilities), mass)), UNIFIED, min_mass)


def test_what_is_asked_is_the_form_with_the_pictures_in_their_order():
    engine = FakeEngine(prefer_darker)
    JudgeScorer(engine, UNIFIED).ask([pair(7, 3), point(5)])
    one, two = engine.asked
    assert [shade_of(i) for i in one.media] == [7, 3]
    assert one.messages == PAIR.messages("a red circle")
    assert one.answers == tuple(PAIR.answers)
    assert [shade_of(i) for i in two.media] == [5]
    assert two.answers == tuple(POINT.answers)


@pytest.mark.parametrize(("shades", "outcome"), [((1, 2), "first"), ((2, 1), "second"), ((2, 2), "tie")])
def test_a_pair_verdict_names_the_place_that_was_preferred(shades, outcome):
    verdict = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).ask([pair(*shades)])[0]
    assert isinstance(verdict, PairVerdict)
    assert verdict.outcome == outcome
    chances = {"first": verdict.p_first, "second": verdict.p_second, "tie": verdict.p_tie}
    assert chances == {name: 0.8 if name == outcome else 0.1 for name in chances}


def test_a_point_verdict_is_the_expected_score():
    verdict = saying([0.1, 0.2, 0.3, 0.4, 0.0]).ask([point(1)])[0]
    assert isinstance(verdict, PointVerdict)
    assert verdict.outcome == "score"
    assert verdict.score == pytest.approx(3.0)
    assert verdict.probabilities == [0.1, 0.2, 0.3, 0.4, 0.0]


@pytest.mark.parametrize("item", [pair(1, 2), point(1)], ids=["pair", "point"])
@pytest.mark.parametrize(
    ("probabilities", "mass", "why"),
    [([0.9, 0.1, 0, 0, 0], 0.05, "hold only 0.050"), ([math.nan] * 5, 1.0, "not numbers")],
)
def test_a_judge_that_does_not_answer_gives_neither_a_winner_nor_a_score(item, probabilities, mass, why):
    # Defects 2 and 5: such answers became a score of 0 and a win for candidate 1.
    count = 3 if item.kind == "pair" else 5
    verdict = saying(probabilities[:count], mass).ask([item])[0]
    assert verdict.outcome == "unparsed"
    assert why in (verdict.reason or "")
    answers = (
        (verdict.p_first, verdict.p_second, verdict.p_tie) if isinstance(verdict, PairVerdict) else (verdict.score,)
    )
    assert all(value is None for value in answers)


def test_the_least_mass_is_a_limit_that_is_itself_enough():
    assert saying([0.9, 0.1, 0.0], 0.1).ask([pair(1, 2)])[0].outcome == "first"
    assert saying([0.9, 0.1, 0.0], 0.0, min_mass=0.0).ask([pair(1, 2)])[0].outcome == "first"


@pytest.mark.parametrize("probabilities", [[0.5, 0.5, 0.0], [1 / 3] * 3, [0.4, 0.2, 0.4]])
def test_a_judge_that_is_undecided_prefers_nobody(probabilities):
    # Defect 5: between equals the first candidate won. Half-precision logits are often exactly equal.
    assert saying(probabilities).ask([pair(1, 2)])[0].outcome == "tie"


@pytest.mark.parametrize("bad", [NOT_A_PICTURE, None])
def test_a_picture_that_does_not_decode_costs_only_the_questions_about_it(bad):
    row = candidate_set(4)
    row["candidates"][1]["media"] = bad
    engine = FakeEngine(prefer_darker)
    judged = JudgeScorer(engine, UNIFIED).judge_set(row, [(0, 1), (1, 0), (2, 3), (3, 2)])
    assert [v["outcome"] for v in judged["pair_verdicts"]] == ["media_error", "media_error", "first", "second"]
    assert [v["outcome"] for v in judged["point_verdicts"]] == ["score", "media_error", "score", "score"]
    assert [v["score"] for v in judged["point_verdicts"]] == [5.0, None, 3.0, 2.0]
    assert all(v["reason"] for v in judged["pair_verdicts"][:2])
    assert len(engine.asked) == 5


def test_the_reason_of_a_candidate_that_was_never_made_is_kept():
    row = candidate_set(2)
    row["candidates"][0] = candidate(0, media=None, error="blanked by the safety checker")
    judged = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(row, [(0, 1)])
    assert (
        judged["point_verdicts"][0]["reason"] == judged["pair_verdicts"][0]["reason"] == "blanked by the safety checker"
    )


def test_a_set_without_a_single_picture_asks_nothing():
    row = candidate_set(2)
    row["candidates"] = [candidate(i, media=None, error="pixels are not numbers") for i in range(2)]
    engine = FakeEngine(prefer_darker)
    judged = JudgeScorer(engine, UNIFIED).judge_set(row, [(0, 1), (1, 0)])
    assert not engine.asked
    assert {v["outcome"] for v in judged["pair_verdicts"] + judged["point_verdicts"]} == {"media_error"}


def test_a_swapped_pair_shows_the_pictures_swapped_and_names_the_candidates():
    engine = FakeEngine(prefer_darker)
    judged = JudgeScorer(engine, UNIFIED).judge_set(candidate_set(2), [(0, 1), (1, 0)])
    assert [[shade_of(i) for i in q.media] for q in engine.asked[:2]] == [[0, 1], [1, 0]]
    rows = [(v["first"], v["second"], v["outcome"]) for v in judged["pair_verdicts"]]
    assert rows == [(0, 1, "first"), (1, 0, "second")]


def test_verdicts_belong_to_candidates_by_index_and_not_by_place():
    row = candidate_set(3)
    row["candidates"] = row["candidates"][::-1]
    judged = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(row, [(0, 2)])
    assert {v["index"]: v["score"] for v in judged["point_verdicts"]} == {0: 5.0, 1: 4.0, 2: 3.0}
    assert judged["pair_verdicts"][0]["outcome"] == "first"


def test_every_candidate_is_scored_even_when_no_pair_is_asked():
    judged = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(candidate_set(3), [])
    assert judged["pair_verdicts"] == []
    assert [v["index"] for v in judged["point_verdicts"]] == [0, 1, 2]


def test_what_a_set_is_judged_fits_the_schema():
    row = candidate_set(3)
    row["candidates"][2]["media"] = NOT_A_PICTURE
    judged = (
        row | JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(row, [(0, 1), (1, 2)]) | {"judge_digest": "j"}
    )
    table = schema.table_of([judged], schema.JUDGED_SET)
    assert isinstance(table, pa.Table)
    assert table["scale"].to_pylist() == [{"name": "1-5", "minimum": 1, "maximum": 5}]
    verdict = table["pair_verdicts"].to_pylist()[0][0]
    assert verdict["p_first"] + verdict["p_second"] + verdict["p_tie"] == pytest.approx(1)


def test_a_picture_or_its_error():
    assert shade_of(media_of(candidate(9)["media"], DEFAULT_CLIPS)) == 9
    assert isinstance(media_of(NOT_A_PICTURE, DEFAULT_CLIPS), MediaError)


def words_of(question) -> str:
    return "".join(part.get("text", "") for part in question.messages[0]["content"])


def prefer_shorter(question) -> Reading:
    """A judge of answers: of two the shorter text is better; a score is ten times its length."""
    texts = [line.partition(": ")[2] for line in words_of(question).splitlines() if line.startswith("Answer")]
    if len(texts) == 2:
        winner = 2 if len(texts[0]) == len(texts[1]) else int(len(texts[1]) < len(texts[0]))
        return Reading([0.8 if i == winner else 0.1 for i in range(3)], 1.0)
    most = len(question.answers) - 1
    return Reading([float(n == min(len(texts[0]), most)) for n in range(most + 1)], 1.0)


def judged_answers(texts, pairs, **changes):
    engine = FakeEngine(prefer_shorter)
    return JudgeScorer(engine, UNIFIED).judge_set(answer_set(texts, **changes), pairs), engine.asked


def test_answers_are_shown_as_text_behind_the_picture_they_are_about():
    judged, asked = judged_answers(["red", "it is red"], [(0, 1), (1, 0)])
    assert [v["outcome"] for v in judged["pair_verdicts"]] == ["first", "second"]
    assert [v["score"] for v in judged["point_verdicts"]] == [30.0, 90.0]
    assert judged["scale"] == {"name": "0-100", "minimum": 0, "maximum": 100}
    for question in asked:
        assert [shade_of(image) for image in question.media] == [50]
        assert question.messages[0]["content"][0] == {"type": "image"}
        assert "Question: prompt 0\n" in words_of(question)
    assert "Answer 1: it is red\nAnswer 2: red\n" in words_of(asked[1])


def test_of_equal_answers_the_first_is_asked_about_and_the_verdict_holds_for_all():
    judged, asked = judged_answers(["Red.", "it is blue", "red", "IT IS BLUE"], [(0, 1), (1, 0), (2, 3), (3, 2)])
    assert len(asked) == 2 + 2
    assert all("IT IS BLUE" not in words_of(question) for question in asked)
    assert [(v["first"], v["second"], v["outcome"]) for v in judged["pair_verdicts"]] == [
        (0, 1, "first"),
        (1, 0, "second"),
        (2, 3, "first"),
        (3, 2, "second"),
    ]
    assert {v["index"]: v["score"] for v in judged["point_verdicts"]} == {0: 40.0, 1: 100.0, 2: 40.0, 3: 100.0}


def test_two_equal_answers_are_a_tie_that_nobody_was_asked_about():
    judged, asked = judged_answers(["red", "Red."], [(0, 1), (1, 0)])
    assert len(asked) == 1
    for verdict in judged["pair_verdicts"]:
        assert (verdict["outcome"], verdict["reason"]) == ("tie", "equal candidates")
        assert (verdict["p_first"], verdict["p_second"], verdict["p_tie"]) == (0, 0, 1)
    assert len(judged["point_verdicts"]) == 2
    row = answer_set(["red", "Red."]) | judged | {"judge_digest": "j"}
    assert schema.table_of([row], schema.JUDGED_SET).num_rows == 1


def test_an_answer_that_was_never_written_costs_only_the_questions_about_it():
    judged, _ = judged_answers(["red", None, None], [(0, 1), (1, 2)])
    assert [v["outcome"] for v in judged["pair_verdicts"]] == ["media_error"] * 2
    assert [v["outcome"] for v in judged["point_verdicts"]] == ["score", "media_error", "media_error"]
    assert judged["pair_verdicts"][0]["reason"] == "the answer is empty"


def test_a_context_that_does_not_decode_costs_its_prompt():
    judged, asked = judged_answers(["red", "blue"], [(0, 1)], context=[NOT_A_PICTURE])
    assert {v["outcome"] for v in judged["pair_verdicts"] + judged["point_verdicts"]} == {"media_error"}
    assert asked == []


@pytest.mark.parametrize(
    "item",
    [
        Item("image_understanding", "pair", "?", ("red", picture(1)), (picture(2),)),
        Item("image_generation", "pair", "a cat", ("red", picture(1))),
        Item("image_generation", "point", "a cat", ("red",)),
    ],
)
def test_a_candidate_of_the_wrong_kind_is_an_error_of_its_own(item):
    verdicts = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).ask([item, pair(1, 2)])
    assert [v.outcome for v in verdicts] == ["media_error", "first"]


def test_a_form_of_its_own_is_asked_in_place_of_the_tasks():
    form = UNIFIED.form("image_generation", "point", "1-10")
    engine = FakeEngine(lambda q: Reading([0.0] * 8 + [0.5, 0.5], 1.0))
    item = Item("image_generation", "point", "a cat", (picture(1),), form=form)
    verdict = JudgeScorer(engine, UNIFIED).ask([item])[0]
    assert isinstance(verdict, PointVerdict)
    assert verdict.score == 9.5
    assert engine.asked[0].answers == tuple(form.answers)


def test_what_there_is_to_see_or_read_of_a_candidate():
    assert shade_of(shown_of(candidate(9), DEFAULT_CLIPS)) == 9
    assert shown_of(candidate(0, media=None, text="red"), DEFAULT_CLIPS) == "red"
    assert shown_of({"media": None, "text": "red"}, DEFAULT_CLIPS) == "red"
    for nothing in (candidate(0, error="broken"), candidate(0, media=None), candidate(0, media=NOT_A_PICTURE)):
        assert isinstance(shown_of(nothing, DEFAULT_CLIPS), MediaError)


def last_brightest(question) -> Reading:
    """A judge of clips: of two the one with the brighter last frame is better; a score is ten times that brightness."""
    ends = [shade_of(clip.frames[-1]) for clip in question.media]
    if len(ends) == 2:
        winner = 2 if ends[0] == ends[1] else int(ends[1] > ends[0])
        return Reading([0.8 if i == winner else 0.1 for i in range(3)], 1.0)
    return Reading([float(value == ends[0] // 10) for value in range(1, 11)], 1.0)


def of_clips(*medias, **changes) -> dict:
    candidates = [candidate(i, media=media) for i, media in enumerate(medias)]
    return candidate_set(0, task="video_generation", candidates=candidates) | changes


def test_clips_are_judged_by_the_frames_that_are_configured():
    engine = FakeEngine(last_brightest)
    row = of_clips(clip([10, 40, 20, 70]), clip([90, 30]))
    judged = JudgeScorer(engine, UNIFIED, sampling=ClipConfig(count=2)).judge_set(row, [(0, 1), (1, 0)])
    assert [v["outcome"] for v in judged["pair_verdicts"]] == ["first", "second"]
    assert [v["score"] for v in judged["point_verdicts"]] == [7.0, 3.0]
    assert judged["scale"] == {"name": "1-10", "minimum": 1, "maximum": 10}
    seen = [[[shade_of(frame) for frame in film.frames] for film in q.media] for q in engine.asked]
    assert seen == [[[10, 70], [90, 30]], [[90, 30], [10, 70]], [[10, 70]], [[90, 30]]]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (clip([5]) | {"data": b"<html>404"}, "not a clip"),
        (clip(range(9)) | {"data": clip(range(9))["data"][:500]}, "cut short"),
        (clip([5]) | {"data": None}, "no clip"),
        (encode_image(picture(5)), "is image, not video"),
    ],
)
def test_a_bad_clip_costs_only_the_questions_about_it(bad, why):
    row = of_clips(clip([10]), bad, clip([30]))
    judged = JudgeScorer(FakeEngine(last_brightest), UNIFIED).judge_set(row, [(0, 1), (1, 2), (0, 2)])
    assert [v["outcome"] for v in judged["pair_verdicts"]] == ["media_error", "media_error", "second"]
    assert [v["outcome"] for v in judged["point_verdicts"]] == ["score", "media_error", "score"]
    assert why in judged["point_verdicts"][1]["reason"]


def test_each_clip_of_a_row_is_decoded_once(monkeypatch):
    decoded = []
    monkeypatch.setattr(
        "urm_ray.judge.item.decode_media",
        lambda media, sampling: decoded.append(media["sha256"]) or decode_media(media, sampling),
    )
    row = of_clips(clip([10]), clip([20]), clip([30]), context=[clip([40])])
    JudgeScorer(FakeEngine(lambda q: Reading([1.0] + [0.0] * (len(q.answers) - 1), 1.0)), UNIFIED).judge_set(
        row, [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)]
    )
    assert len(decoded) == len(set(decoded)) == 4


def test_answers_are_shown_behind_the_clip_they_are_about():
    changes = {"task": "video_understanding", "context": [clip([10, 40]), encode_image(picture(7))]}
    judged, asked = judged_answers(["red", "it is red"], [(0, 1)], **changes)
    assert [v["outcome"] for v in judged["pair_verdicts"]] == ["first"]
    for question in asked:
        assert [part["type"] for part in question.messages[0]["content"][:3]] == ["video", "image", "text"]
        film, image = question.media
        assert [shade_of(frame) for frame in film.frames] == [10, 40, *[40] * 6]
        assert (film.padded, shade_of(image)) == (6, 7)


def test_a_context_clip_that_does_not_decode_costs_its_prompt():
    changes = {"task": "video_understanding", "context": [clip([1]) | {"data": b"no"}]}
    judged, asked = judged_answers(["red", "blue"], [(0, 1)], **changes)
    assert {v["outcome"] for v in judged["pair_verdicts"] + judged["point_verdicts"]} == {"media_error"}
    assert asked == []


def test_the_settings_for_clips_reach_the_judge_and_what_it_is_shown(vlm_path):
    clips = ClipConfig(rate=3, shown="native")
    judge = JudgeScorer.load(vlm_path, JudgeConfig(clips=clips))
    assert judge.sampling == clips
    assert judge.engine.chats.native

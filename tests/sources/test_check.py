import math

import pytest
from helpers import NOT_A_PICTURE, SCALE, as_answers, pair_preference, picture, point_preference, prompt_row

from urm_ray.clips import clip_record, encode_clip
from urm_ray.sources.check import check_preference, check_prompt

CANDIDATE = pair_preference()["candidates"][0]
CLIP = encode_clip([picture(1), picture(2)], 8)
CLIP_SHOWN = {"media": CLIP, "text": None}
CUT_SHOWN = {"media": clip_record(CLIP["data"][:900], 8, 8, 2, 8.0), "text": None}


@pytest.mark.parametrize("label", ["first", "second", "tie"])
def test_good_rows_pass(label):
    assert check_preference(pair_preference(label=label)) is None
    assert check_prompt(prompt_row()) is None


def test_clips_pass_like_pictures():
    clips = [{"media": CLIP, "text": None}] * 2
    assert check_preference(pair_preference(task="video_generation", candidates=clips)) is None


@pytest.mark.parametrize("score", [1.0, 5.0, 3.67])
def test_scores_on_their_scale_pass(score):
    assert check_preference(point_preference(score=score)) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "sound"}, "unknown task or kind"),
        ({"task": None}, "unknown task or kind"),
        ({"kind": "triple"}, "unknown task or kind"),
        ({"prompt": None}, "empty prompt"),
        ({"prompt": " "}, "empty prompt"),
        ({"candidates": None}, "wrong number of candidates"),
        ({"candidates": [CANDIDATE]}, "wrong number of candidates"),
        ({"candidates": [CANDIDATE] * 3}, "wrong number of candidates"),
        ({"label": None}, "no label"),
        ({"label": "Image 1"}, "no label"),
        ({"candidates": [CANDIDATE, {"media": NOT_A_PICTURE, "text": None}]}, "undecodable picture"),
        ({"candidates": [CANDIDATE, {"media": None, "text": None}]}, "undecodable picture"),
        ({"candidates": [CANDIDATE, None]}, "undecodable picture"),
        ({"task": "video_generation", "candidates": [CLIP_SHOWN, CUT_SHOWN]}, "undecodable clip"),
        ({"candidates": [CLIP_SHOWN, CLIP_SHOWN]}, "candidate of another kind"),
    ],
)
def test_a_pair_that_cannot_be_used_says_why(changes, reason):
    problem = check_preference(pair_preference(7, **changes))
    assert problem is not None
    assert (problem.row_id, problem.reason) == ("pair7", reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"score": None},
        {"score": 0.0},
        {"score": 5.01},
        {"score": -3.0},
        {"score": math.nan},
        {"score": math.inf},
        {"scale": None},
        {"scale": SCALE | {"minimum": None}},
        {"scale": SCALE | {"maximum": 3, "minimum": 3}},
    ],
)
def test_a_score_outside_its_scale_is_put_aside_and_never_clipped(changes):
    problem = check_preference(point_preference(**changes))
    assert problem is not None
    assert problem.reason == "score outside its scale"


@pytest.mark.parametrize(("changes", "reason"), [({"task": "x"}, "unknown task"), ({"prompt": None}, "empty prompt")])
def test_a_prompt_that_cannot_be_used_says_why(changes, reason):
    problem = check_prompt(prompt_row(3, **changes))
    assert problem is not None
    assert (problem.row_id, problem.reason) == ("p3", reason)


ABOUT = as_answers(pair_preference(7), "red", "blue")


def test_answers_with_their_picture_pass():
    assert check_preference(ABOUT) is None
    assert check_prompt(prompt_row(task="image_understanding", context=ABOUT["context"])) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"context": []}, "no context"),
        ({"context": None}, "no context"),
        ({"context": [*ABOUT["context"], NOT_A_PICTURE]}, "undecodable picture"),
        ({"candidates": [ABOUT["candidates"][0], {"media": None, "text": " "}]}, "no answer"),
        ({"candidates": [ABOUT["candidates"][0], {"media": None, "text": None}]}, "no answer"),
        ({"candidates": [ABOUT["candidates"][0], CANDIDATE]}, "no answer"),
        ({"task": "image_generation"}, "undecodable picture"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(changes, reason):
    problem = check_preference(ABOUT | changes)
    assert problem is not None
    assert (problem.row_id, problem.reason) == ("pair7", reason)


@pytest.mark.parametrize(
    ("context", "reason"), [([], "no context"), (None, "no context"), ([NOT_A_PICTURE], "undecodable picture")]
)
def test_a_question_without_its_picture_says_so(context, reason):
    problem = check_prompt(prompt_row(3, task="image_understanding", context=context))
    assert problem is not None
    assert (problem.row_id, problem.reason) == ("p3", reason)

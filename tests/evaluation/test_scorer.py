import pytest
from helpers import NOT_A_PICTURE, answer_set, candidate, candidate_set, picture, shade_of

from urm_ray.clips import clip_record, encode_clip
from urm_ray.config_policy import EvaluateConfig
from urm_ray.evaluation.scorer import figures_of, load_scorer, need_scorers
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.judge.transformers_engine import TransformersEngine
from urm_ray.sources.registry import SourceError


class Shade:
    def figures(self, prompt, picture):
        return {"shade": float(shade_of(picture)), "none": None, "words": float(len(prompt.split()))}


def test_every_picture_is_rated_and_what_does_not_apply_is_left_out():
    row = candidate_set(2, prompt="a red circle")
    assert figures_of(Shade(), row) == [
        {"index": 0, "name": "shade", "value": 0.0},
        {"index": 0, "name": "words", "value": 3.0},
        {"index": 1, "name": "shade", "value": 1.0},
        {"index": 1, "name": "words", "value": 3.0},
    ]


class Frames:
    def figures(self, prompt, shown):
        return {"frames": float(len(shown)), "last": float(shade_of(shown[-1]))}


def test_a_clip_is_rated_as_its_frames_in_order():
    row = candidate_set(2, task="video_generation")
    for i, length in enumerate((1, 5)):
        row["candidates"][i]["media"] = encode_clip([picture(shade) for shade in range(length)], 8)
    found = {(f["index"], f["name"]): f["value"] for f in figures_of(Frames(), row)}
    assert found == {(0, "frames"): 1, (0, "last"): 0, (1, "frames"): 5, (1, "last"): 4}


@pytest.mark.parametrize("media", [None, NOT_A_PICTURE, clip_record(b"?", 8, 8, 1, 8.0)])
def test_a_candidate_without_a_picture_has_no_figures_and_not_zeros(media):
    row = candidate_set(3)
    row["candidates"][1] = candidate(1, media=media, error="pixels are not numbers")
    assert {f["index"] for f in figures_of(Shade(), row)} == {0, 2}


class Length:
    def figures(self, prompt, answer, context):
        return {"length": float(len(answer)), "shade": float(sum(map(shade_of, context)))}


def test_an_answer_is_rated_beside_the_pictures_it_is_about():
    found = figures_of(Length(), answer_set(["red", None, "", "two"]))
    assert [(f["index"], f["name"], f["value"]) for f in found] == [
        (0, "length", 3.0),
        (0, "shade", 50.0),
        (2, "length", 0.0),
        (2, "shade", 50.0),
        (3, "length", 3.0),
        (3, "shade", 50.0),
    ]


def test_answers_about_a_picture_that_does_not_decode_have_no_figures():
    assert figures_of(Length(), answer_set(["red"], context=[NOT_A_PICTURE])) == []


def test_a_scorer_is_named_by_module_and_class():
    assert hasattr(load_scorer("urm_ray.scenes.oracle:Oracle"), "figures")
    with pytest.raises(SourceError, match=r"evaluate\.scorer is missing"):
        load_scorer("")
    with pytest.raises(SourceError, match=r"there is no 'urm_ray\.scenes\.oracle:Oracel'"):
        load_scorer("urm_ray.scenes.oracle:Oracel")


class Disguised(JudgeScorer):
    def __init__(self):
        pass

    def figures(self, prompt, shown):
        return {"score": 1.0}


class Asking:
    """A scorer that has the judge inside."""

    def __init__(self):
        self.engine = TransformersEngine.__new__(TransformersEngine)

    def figures(self, prompt, shown):
        return {"score": 1.0}


class Silent:
    pass


@pytest.mark.parametrize("name", ["urm_ray.judge.scorer:JudgeScorer", f"{__name__}:Disguised", f"{__name__}:Asking"])
def test_the_judge_is_not_its_own_second_opinion(name):
    with pytest.raises(SourceError, match="is the judge itself, or asks it; name a scorer that has no part in it"):
        load_scorer(name)


def test_a_scorer_gives_figures():
    assert isinstance(load_scorer(f"{__name__}:Shade"), Shade)
    with pytest.raises(SourceError, match=r"Silent has no figures\(prompt, candidate, context\)"):
        load_scorer(f"{__name__}:Silent")


def test_the_task_without_a_scorer_is_named():
    good = f"{__name__}:Shade"
    settings = EvaluateConfig(scorer=good)
    need_scorers({"image_generation": settings, "video_generation": settings})
    with pytest.raises(SourceError, match=r"^policies\.video_generation\.evaluate\.scorer is missing: name a scorer"):
        need_scorers({"image_generation": settings, "video_generation": EvaluateConfig()})

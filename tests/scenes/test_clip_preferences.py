import random
from collections import Counter

import numpy as np
import pytest

from urm_ray import schema
from urm_ray.clips import Sampling, decode_clip
from urm_ray.scenes import clip_preferences
from urm_ray.scenes.clip_preferences import ASPECTS, DIMENSIONS, ClipScenes, View, candidate, grade, score
from urm_ray.scenes.grammar import held_out
from urm_ray.scenes.motion import ClipDifferences, parse
from urm_ray.sources.check import check_preference, check_prompt

COUNT = 220
PARTS = ("train_pairs", "train_points", "heldout_pairs", "heldout_points")
WANTED = dict.fromkeys(PARTS, COUNT) | {"train_prompts": 200, "heldout_prompts": 100}
SCENE = parse("a red circle moving left and a blue square staying still")


def rows(part, start=0, stop=COUNT, seed=0) -> list[dict]:
    return list(ClipScenes(None, seed, "video_generation", WANTED).read(part, start, stop))


def view(fault: str = "", strength: int = 0, drawn: str | None = None, **wrong: int) -> View:
    return View(parse(drawn) if drawn else SCENE, ClipDifferences(**wrong), fault, strength)


def labels(part, stop=COUNT) -> list[dict]:
    """Rows without their clips, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_preferences, "encode_clip", lambda frames, fps: None)
        return rows(part, 0, stop)


@pytest.fixture(scope="module")
def pairs() -> list[dict]:
    return labels("train_pairs")


@pytest.fixture(scope="module")
def points() -> list[dict]:
    return labels("train_points")


@pytest.fixture(scope="module")
def consensus() -> list[dict]:
    return labels("heldout_points", 120)


@pytest.mark.parametrize("part", PARTS)
def test_rows_fit_the_schema_and_pass_the_check(part):
    some = rows(part, 0, 15)
    assert [check_preference(row) for row in some] == [None] * 15
    assert schema.table_of(some, schema.PREFERENCE).num_rows == 15
    assert {row["kind"] for row in some} == {part.split("_")[1][:-1]}
    assert {row["task"] for row in some} == {"video_generation"}
    for row in some[:3]:
        clip = decode_clip(row["candidates"][0]["media"], Sampling())
        assert (len(clip.frames), clip.frames[0].size, clip.times[1]) == (8, (32, 32), 1 / 8)


@pytest.mark.parametrize("part", [*PARTS, "train_prompts", "heldout_prompts"])
def test_the_same_number_is_always_the_same_row(part):
    whole = rows(part, 0, 10)
    assert rows(part, 5, 8) == whole[5:8]
    assert rows(part, 0, 10, seed=1) != whole
    name = "prompt_id" if part.endswith("prompts") else "preference_id"
    assert len({row[name] for row in whole}) == 10


def test_held_out_captions_are_never_trained_on(pairs, points, consensus):
    for row in [*pairs, *points, *rows("train_prompts", 0, 200)]:
        assert not held_out(row["prompt"])
        parse(row["prompt"])
    for row in [*consensus, *labels("heldout_pairs", 20), *rows("heldout_prompts", 0, 100)]:
        assert held_out(row["prompt"])
        parse(row["prompt"])


def test_prompts_are_all_different_and_as_many_as_there_are():
    source = ClipScenes(None, 0, "video_generation", {"train_prompts": 100_000, "heldout_prompts": 5})
    everything = [row["prompt"] for row in source.read("train_prompts", 0, source.size("train_prompts"))]
    assert 2000 < len(set(everything)) == len(everything) == source.size("train_prompts") < 100_000
    assert [source.size("heldout_prompts"), source.size("heldout_pairs")] == [5, 0]
    for row in source.read("train_prompts", 0, 20):
        assert check_prompt(row) is None
        assert row["task"] == "video_generation"


def test_every_label_occurs_and_neither_place_is_preferred(pairs):
    found = Counter(row["label"] for row in pairs)
    assert set(found) == {"first", "second", "tie"}
    assert 0.1 < found["tie"] / COUNT < 0.5
    assert 0.4 < found["first"] / (found["first"] + found["second"]) < 0.6


def test_about_one_training_label_in_twenty_is_the_wrong_way_round_and_no_held_out_one(pairs, monkeypatch):
    held = labels("heldout_pairs", 40)
    monkeypatch.setattr(clip_preferences, "FLIPPED", 1.0)
    assert labels("heldout_pairs", 40) == held
    monkeypatch.setattr(clip_preferences, "FLIPPED", 0.0)
    both = [(one["label"], two["label"]) for one, two in zip(pairs, labels("train_pairs"), strict=True)]
    decided = [(one, two) for one, two in both if two != "tie"]
    assert 0.02 < sum(one != two for one, two in decided) / len(decided) < 0.09
    assert all(one == "tie" for one, two in both if two == "tie")


def test_points_are_about_every_dimension_on_its_own_scale(points):
    shares = Counter(row["dimension"] for row in points)
    assert set(shares) == {"overall", *DIMENSIONS, *ASPECTS}
    assert len(DIMENSIONS) == 5
    assert 0.3 < shares["overall"] / COUNT < 0.5
    assert 0.3 < sum(shares[name] for name in DIMENSIONS) / COUNT < 0.5
    for row in points:
        ends = (row["scale"]["minimum"], row["scale"]["maximum"])
        assert ends == ((1, 3) if row["dimension"] in ASPECTS else (1, 4))


def test_grades_come_with_a_reason_and_scores_without(points):
    for row in points:
        if row["dimension"] in ASPECTS:
            assert row["rationale"].split()[0] == {1: "Bad.", 2: "Normal.", 3: "Good."}[row["score"]]
            assert len(row["rationale"].split()) > 3
        else:
            assert row["rationale"] is None


def test_one_rater_gives_whole_scores_and_the_consensus_does_not_round(points, consensus):
    assert {row["score"] for row in points if row["scale"]["maximum"] == 4} == {1.0, 2.0, 3.0, 4.0}
    overall = [row["score"] for row in consensus if row["dimension"] == "overall"]
    assert len(set(overall) - {1.0, 2.0, 3.0, 4.0}) > 5
    assert {row["score"] for row in consensus if row["dimension"] in ASPECTS} == {1.0, 2.0, 3.0}


def test_raters_differ_from_the_consensus_by_noise_alone(points, monkeypatch):
    monkeypatch.setattr(clip_preferences, "RATER_NOISE", 0.0)
    monkeypatch.setattr(clip_preferences, "FLIPPED", 0.0)
    quiet = labels("train_points")
    apart = [abs(a["score"] - b["score"]) for a, b in zip(points, quiet, strict=True)]
    assert 0.02 < np.mean(np.array(apart) > 0) < 0.4
    overlooked = [
        (a["score"], b["score"])
        for a, b in zip(points, quiet, strict=True)
        if a["dimension"] in ASPECTS and a["score"] != b["score"]
    ]
    assert all(noted == 3 for noted, _ in overlooked)


@pytest.mark.parametrize(
    ("seen", "scores"),
    [
        (view(), (4, 4, 4, 4, 2.5)),
        (view("blur", 1), (3, 4, 4, 4, 2.5)),
        (view("noise", 3), (1, 4, 4, 4, 2.5)),
        (view("broken", 2), (2, 4, 4, 2, 2.5)),
        (view("flicker", 2), (4, 2, 4, 4, 2.5)),
        (view("jump", 3), (4, 1, 4, 1, 2.5)),
        (view(colours=1), (4, 4, 3, 4, 2.5)),
        (view(colours=1, motions=2, count=1), (4, 4, 1, 4, 2.5)),
        (view(drawn="a red circle staying still", count=1), (4, 4, 3, 4, 1)),
        (view(drawn="a red circle moving up", count=1), (4, 4, 3, 4, 4)),
    ],
)
def test_each_dimension_is_about_its_own_fault(seen, scores):
    names = ("visual quality", "temporal consistency", "text-to-video alignment", "factual consistency")
    assert tuple(score(seen, name) for name in (*names, "dynamic degree")) == scores


def test_people_mind_every_mistake_and_every_step_of_a_fault():
    table = np.array([[score(view("jump", s, motions=w), "overall") for s in range(4)] for w in range(4)])
    assert table[0, 0] == 4
    assert (np.diff(table, axis=0) < 0).all()
    assert (np.diff(table, axis=1) < 0).all()
    assert (table > 1).all()


@pytest.mark.parametrize(
    ("seen", "aspect", "graded"),
    [
        (view("blur", 3), "semantic consistency", (3, "Everything is as the caption says.")),
        (view(colours=1), "semantic consistency", (2, "A colour is wrong.")),
        (view(shapes=2, motions=1), "semantic consistency", (1, "2 shapes are wrong and a motion is wrong.")),
        (view(count=1), "semantic consistency", (2, "The number of things is wrong.")),
        (view("jump", 3, colours=2), "fidelity", (3, "The picture is clean.")),
        (view("noise", 1), "fidelity", (2, "The picture is slightly noisy.")),
        (view("broken", 2), "fidelity", (1, "The picture is clearly broken.")),
        (view("blur", 3, colours=2), "motion", (3, "Everything moves as asked and without a break.")),
        (view("flicker", 1), "motion", (2, "The clip flickers slightly.")),
        (view("jump", 3, motions=1), "motion", (1, "A motion is wrong and the clip jumps strongly.")),
    ],
)
def test_grades_name_what_is_wrong_in_their_aspect(seen, aspect, graded):
    assert grade(seen, aspect) == graded


def test_what_is_no_dimension_is_refused():
    with pytest.raises(ValueError, match="no such dimension"):
        score(view(), "beauty")
    with pytest.raises(ValueError, match="no such aspect"):
        grade(view(), "beauty")


def test_candidates_have_every_fault_in_every_strength_and_some_have_none():
    rng = random.Random(0)
    views = [candidate(SCENE, rng)[1] for _ in range(300)]
    faults = Counter((v.fault, v.strength) for v in views)
    assert set(faults) == {("", 0)} | {
        (f, s) for f in ("blur", "noise", "broken", "flicker", "jump") for s in (1, 2, 3)
    }
    assert 0.4 < faults["", 0] / 300 < 0.6
    assert 0.35 < sum(v.wrong.total == 0 for v in views) / 300 < 0.6
    assert {v.wrong.total for v in views} >= {0, 1, 2}

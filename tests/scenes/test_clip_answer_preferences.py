import re
from collections import Counter

import numpy as np
import pytest

from urm_ray import schema
from urm_ray.clips import Sampling, decode_clip
from urm_ray.judge.protocol import protocol
from urm_ray.scenes import answer_preferences, clip_answer_preferences
from urm_ray.scenes.clip_answer_preferences import ClipAnswers
from urm_ray.scenes.clip_questions import KINDS, ClipQuestion
from urm_ray.scenes.clip_truth import ClipFacts, clip_figures
from urm_ray.scenes.grammar import held_out
from urm_ray.scenes.motion import Mover, MovingScene
from urm_ray.sources.check import check_preference, check_prompt
from urm_ray.sources.registry import SourceError

PARTS = ("train_pairs", "train_points", "heldout_pairs", "heldout_points")
PROMPTS = ("train_prompts", "heldout_prompts")
COUNT = 700


def rows(part, start=0, stop=40, seed=0) -> list[dict]:
    return list(ClipAnswers(None, seed, "video_understanding", {}).read(part, start, stop))


@pytest.fixture
def unseen(monkeypatch):
    """What is said of clips, without the clips, which are most of the work."""
    monkeypatch.setattr(clip_answer_preferences, "film", lambda scene, rng: scene)
    monkeypatch.setattr(clip_answer_preferences, "encode_clip", lambda scene, fps: {"scene": scene})
    return lambda part: rows(part, 0, COUNT)


def facts_of(row) -> ClipFacts:
    return ClipFacts.seen(decode_clip(row["context"][0], Sampling()).frames)


@pytest.mark.parametrize("part", PARTS)
def test_rows_fit_the_schema_and_pass_the_check(part):
    some = rows(part)
    assert [check_preference(row) for row in some] == [None] * 40
    assert schema.table_of(some, schema.PREFERENCE).num_rows == 40
    assert {(row["task"], row["kind"]) for row in some} == {("video_understanding", part.split("_")[1][:-1])}
    assert all(protocol("unified").form_of(row) for row in some)
    clip = decode_clip(some[0]["context"][0], Sampling())
    assert (len(clip.frames), clip.frames[0].size) == (8, (32, 32))


@pytest.mark.parametrize("part", PROMPTS)
def test_prompts_ask_about_a_clip(part):
    some = rows(part)
    assert [check_prompt(row) for row in some] == [None] * 40
    assert schema.table_of(some, schema.PROMPT).num_rows == 40
    assert len({ClipQuestion.of(row["prompt"]).kind for row in some}) > len(KINDS) / 2
    assert all([media["kind"] for media in row["context"]] == ["video"] for row in some)
    source = ClipAnswers(None, 0, "video_understanding", {part: 7})
    assert [source.size(part), source.size("train_pairs")] == [7, 0]


def test_another_task_is_refused():
    with pytest.raises(SourceError, match="no rows of image_understanding"):
        ClipAnswers(None, 0, "image_understanding", {})


@pytest.mark.parametrize("part", [*PARTS, *PROMPTS])
def test_the_same_number_is_always_the_same_row(part):
    whole = rows(part, 0, 10)
    assert rows(part, 5, 8) == whole[5:8]
    assert rows(part, 0, 10, seed=1) != whole
    name = "prompt_id" if part.endswith("prompts") else "preference_id"
    assert len({row[name] for row in whole}) == 10


@pytest.mark.parametrize("part", [*PARTS, *PROMPTS])
def test_clips_and_captions_of_held_out_rows_are_never_trained_on(part):
    right = []
    for row in rows(part, 0, 25):
        shown = MovingScene(tuple(Mover(thing, motion) for thing, motion in facts_of(row).moves))
        right.append(held_out(shown.caption()) == part.startswith("heldout"))
        quoted = re.match("Caption: (.*)", row["prompt"])
        assert quoted is None or held_out(quoted[1]) == part.startswith("heldout")
    assert np.mean(right) > 0.95  # the oracle may misread one in some hundred


def test_the_better_answer_is_preferred_and_scored_higher():
    sides = []
    for row in rows("heldout_pairs", 0, 80):
        question, facts = ClipQuestion.of(row["prompt"]), facts_of(row)
        marks = [clip_figures(question, facts, candidate["text"]) for candidate in row["candidates"]]
        one, two = (mark["true"] + mark["complete"] for mark in marks)
        if row["label"] != "tie":
            sides.append((one - two) * (1 if row["label"] == "first" else -1))
    assert np.mean([side > 0 for side in sides]) > 0.8
    assert np.mean([side < 0 for side in sides]) < 0.1
    right, wrong = [], []
    for row in rows("train_points", 0, 80):
        found = clip_figures(ClipQuestion.of(row["prompt"]), facts_of(row), row["candidates"][0]["text"])
        (right if found["whole"] else wrong).append(row["score"])
    assert np.mean(right) - np.mean(wrong) > 1


def test_every_label_occurs_and_neither_place_is_preferred(unseen):
    pairs = [row for part in ("train_pairs", "heldout_pairs") for row in unseen(part)]
    labels = Counter(row["label"] for row in pairs)
    assert 0.1 < labels["tie"] / len(pairs) < 0.4
    assert 0.45 < labels["first"] / (labels["first"] + labels["second"]) < 0.55
    assert all(row["candidates"][0]["text"] != row["candidates"][1]["text"] for row in pairs)


def test_about_one_training_label_in_twenty_is_the_wrong_way_round_and_no_held_out_one(unseen, monkeypatch):
    pairs, agreed = unseen("train_pairs"), unseen("heldout_pairs")
    monkeypatch.setattr(answer_preferences, "FLIPPED", 0.0)
    both = [(a["label"], b["label"]) for a, b in zip(pairs, unseen("train_pairs"), strict=True) if b["label"] != "tie"]
    assert 0.025 < sum(a != b for a, b in both) / len(both) < 0.085
    monkeypatch.setattr(answer_preferences, "FLIPPED", 1.0)
    assert unseen("heldout_pairs") == agreed


def test_points_are_on_one_to_five_and_only_those_of_one_rater_are_whole(unseen):
    points, agreed = unseen("train_points"), unseen("heldout_points")
    assert {row["score"] for row in points} == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert any(row["score"] % 1 for row in agreed)
    for row in [*points, *agreed]:
        assert row["scale"] == {"name": "1-5", "minimum": 1, "maximum": 5}
        assert 1 <= row["score"] <= 5


@pytest.mark.parametrize("part", PARTS)
def test_some_rows_say_why(part, unseen):
    reasons = [row["rationale"] for row in unseen(part) if row["rationale"]]
    assert 0.3 < len(reasons) / COUNT < 0.5
    assert all(reason.startswith("Answer 1: ") is part.endswith("pairs") for reason in reasons)
    assert any("motion" in reason for reason in reasons)

from collections import Counter

import numpy as np
import pytest

from urm_ray import schema
from urm_ray.judge.protocol import protocol
from urm_ray.media import decode_image
from urm_ray.scenes import answer_preferences
from urm_ray.scenes.answer_preferences import Answers, quality
from urm_ray.scenes.answers import Answer, one_way
from urm_ray.scenes.grammar import Scene, held_out
from urm_ray.scenes.oracle import read
from urm_ray.scenes.truth import KINDS, Facts, Question, figures
from urm_ray.sources.check import check_preference, check_prompt

COUNT = 500
PARTS = ("train_pairs", "train_points", "heldout_pairs", "heldout_points")


def rows(part, start=0, stop=COUNT, seed=0) -> list[dict]:
    return list(Answers(None, seed, "image_understanding", {}).read(part, start, stop))


@pytest.fixture(scope="module")
def pairs() -> list[dict]:
    return rows("train_pairs")


@pytest.fixture(scope="module")
def points() -> list[dict]:
    return rows("train_points")


@pytest.fixture(scope="module")
def agreed() -> list[dict]:
    return rows("heldout_pairs")


@pytest.mark.parametrize("part", PARTS)
def test_rows_fit_the_schema_and_pass_the_check(part):
    some = rows(part, 0, 40)
    assert [check_preference(row) for row in some] == [None] * 40
    assert schema.table_of(some, schema.PREFERENCE).num_rows == 40
    assert {(row["task"], row["kind"]) for row in some} == {("image_understanding", part.split("_")[1][:-1])}
    assert all(protocol("unified").form_of(row) for row in some)


@pytest.mark.parametrize("part", ["train_prompts", "heldout_prompts"])
def test_prompts_ask_about_a_picture(part):
    some = rows(part, 0, 150)
    assert [check_prompt(row) for row in some] == [None] * 150
    assert schema.table_of(some, schema.PROMPT).num_rows == 150
    assert {Question.of(row["prompt"]).kind for row in some} == set(KINDS)
    assert all(len(row["context"]) == 1 for row in some)
    assert Answers(None, 0, "image_understanding", {part: 7}).size(part) == 7
    assert Answers(None, 0, "image_understanding", {}).size(part) == 0


@pytest.mark.parametrize("part", [*PARTS, "train_prompts", "heldout_prompts"])
def test_the_same_number_is_always_the_same_row(part):
    whole = rows(part, 0, 12)
    assert rows(part, 5, 8) == whole[5:8]
    assert rows(part, 0, 12, seed=1) != whole
    name = "prompt_id" if part.endswith("prompts") else "preference_id"
    assert len({row[name] for row in whole}) == 12


def looks(row) -> Scene | None:
    """What a picture shows, in its one way, or None where it cannot be read."""
    found = read(decode_image(row["context"][0]))
    things = tuple(f.thing for f in found)
    if not 1 <= len(things) <= 3 or len(set(things)) == 3:
        return None
    if len(things) == 3:
        twice = Counter(things).most_common(1)[0][0]
        return Scene((twice, *sorted(things, key=lambda t: t != twice)[1:]))
    if len(things) == 2 and things[0] != things[1]:
        beside = abs(found[1].x - found[0].x) > abs(found[1].y - found[0].y)
        relation = "left of" if beside else "above" if found[0].y < found[1].y else "below"
        return one_way(Scene(things, relation), None)
    return Scene(things)


def test_pictures_of_held_out_rows_are_never_trained_on():
    shown = {part: [looks(row) for row in rows(part, 0, 150)] for part in [*PARTS, "train_prompts", "heldout_prompts"]}
    for part, scenes in shown.items():
        captions = [scene.caption() for scene in scenes if scene is not None]
        assert len(captions) > 140
        right = [held_out(caption) == part.startswith("heldout") for caption in captions]
        assert np.mean(right) > 0.98, part  # the oracle misreads one in some hundred


def difference(row) -> float:
    """Which answer the truth is on the side of, by an order that nobody who judged used."""
    question, facts = Question.of(row["prompt"]), Facts.seen(decode_image(row["context"][0]))
    marks = [figures(question, facts, c["text"]) for c in row["candidates"]]
    one, two = (m["true"] + m["complete"] for m in marks)
    return one - two


def test_the_better_answer_is_preferred(agreed):
    decided = [row for row in agreed if row["label"] != "tie"]
    sides = [difference(row) * (1 if row["label"] == "first" else -1) for row in decided]
    assert np.mean([side > 0 for side in sides]) > 0.85
    assert np.mean([side < 0 for side in sides]) < 0.08


def test_about_one_label_in_twenty_is_the_wrong_way_round(pairs, monkeypatch):
    monkeypatch.setattr(answer_preferences, "FLIPPED", 0.0)
    consensus = rows("train_pairs")
    assert [r["candidates"] for r in consensus] == [r["candidates"] for r in pairs]
    both = [(a["label"], b["label"]) for a, b in zip(pairs, consensus, strict=True) if b["label"] != "tie"]
    assert 0.025 < sum(a != b for a, b in both) / len(both) < 0.085
    assert all({a, b} == {"first", "second"} for a, b in both if a != b)


def test_held_out_labels_have_no_slips(agreed, monkeypatch):
    monkeypatch.setattr(answer_preferences, "FLIPPED", 1.0)
    assert [row["label"] for row in rows("heldout_pairs", 0, 100)] == [row["label"] for row in agreed[:100]]


def test_every_label_occurs_and_neither_place_is_preferred(pairs):
    labels = Counter(row["label"] for row in pairs)
    assert 0.1 < labels["tie"] / COUNT < 0.4
    assert 0.42 < labels["first"] / (labels["first"] + labels["second"]) < 0.58
    assert all(row["candidates"][0]["text"] != row["candidates"][1]["text"] for row in pairs)


def test_one_raters_scores_are_round_and_on_two_scales_and_the_consensus_is_neither(points):
    scales = Counter(row["scale"]["name"] for row in points)
    assert 0.2 < scales["1-5"] / COUNT < 0.4
    assert set(scales) == {"1-5", "0-100"}
    assert {row["score"] % 5 for row in points if row["scale"]["name"] == "0-100"} == {0}
    assert {row["score"] for row in points if row["scale"]["name"] == "1-5"} == {1.0, 2.0, 3.0, 4.0, 5.0}
    agreed = rows("heldout_points", 0, 100)
    assert {row["scale"]["name"] for row in agreed} == {"0-100"}
    assert len({row["score"] % 5 for row in agreed}) > 3


def test_scores_follow_the_truth(points):
    high, low = [], []
    for row in points:
        question, facts = Question.of(row["prompt"]), Facts.seen(decode_image(row["context"][0]))
        scale = row["scale"]
        share = (row["score"] - scale["minimum"]) / (scale["maximum"] - scale["minimum"])
        (high if figures(question, facts, row["candidates"][0]["text"])["whole"] else low).append(share)
    assert min(len(high), len(low)) > 100
    assert np.mean(high) - np.mean(low) > 0.3


@pytest.mark.parametrize("part", PARTS)
def test_some_rows_say_why(part):
    some = rows(part)
    reasons = [row["rationale"] for row in some if row["rationale"]]
    assert 0.3 < len(reasons) / COUNT < 0.5
    assert all(reason.startswith("Answer 1: ") is part.endswith("pairs") for reason in reasons)


def test_reasons_fit_the_answers_they_are_about(agreed):
    for row in agreed:
        if row["rationale"]:
            question, facts = Question.of(row["prompt"]), Facts.seen(decode_image(row["context"][0]))
            first = row["rationale"].partition(" Answer 2: ")[0]
            whole = figures(question, facts, row["candidates"][0]["text"])["whole"] == 1
            assert (first == "Answer 1: nothing is wrong.") == whole or not looks(row)


def test_people_mind_every_mistake():
    table = [quality(Answer("", false, missing)) for false in range(4) for missing in range(3)]
    by_false = np.array(table).reshape(4, 3)
    assert by_false[0, 0] == 1.0
    assert (np.diff(by_false, axis=0) < 0).all()
    assert (np.diff(by_false, axis=1) < 0).all()
    assert quality(Answer("", 1, answered=False)) < quality(Answer("", 1))
    assert quality(Answer("", 9, 9, answered=False)) > 0

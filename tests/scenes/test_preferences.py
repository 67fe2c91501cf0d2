from collections import Counter

import numpy as np
import pytest

from urm_ray import schema
from urm_ray.media import decode_image
from urm_ray.scenes import preferences
from urm_ray.scenes.grammar import held_out, parse, wrongness
from urm_ray.scenes.preferences import Scenes, quality
from urm_ray.sources.check import check_preference, check_prompt

COUNT = 600
PARTS = ("train_pairs", "train_points", "heldout_pairs", "heldout_points")
WANTED = dict.fromkeys(PARTS, COUNT) | {"train_prompts": 200, "heldout_prompts": 100}
BAD = {"train_pairs": 40, "heldout_pairs": 40, "train_points": 40, "heldout_points": 40}


def rows(part, start=0, stop=COUNT, seed=0) -> list[dict]:
    return list(Scenes(None, seed, "image_generation", WANTED).read(part, start, stop))


@pytest.fixture(scope="module")
def pairs() -> list[dict]:
    return rows("train_pairs")


@pytest.fixture(scope="module")
def points() -> list[dict]:
    return rows("train_points")


@pytest.mark.parametrize("part", PARTS)
def test_rows_fit_the_schema_and_pass_the_check(part):
    some = rows(part, 0, 40)
    assert [check_preference(row) for row in some] == [None] * 40
    assert schema.table_of(some, schema.PREFERENCE).num_rows == 40
    assert {row["kind"] for row in some} == {part.split("_")[1][:-1]}


@pytest.mark.parametrize("part", [*PARTS, "train_prompts", "heldout_prompts"])
def test_the_same_number_is_always_the_same_row(part):
    whole = rows(part, 0, 12)
    assert rows(part, 5, 8) == whole[5:8]
    assert rows(part, 0, 12, seed=1) != whole
    name = "prompt_id" if part.endswith("prompts") else "preference_id"
    assert len({row[name] for row in whole}) == 12


def test_about_one_label_in_twenty_is_the_wrong_way_round(pairs, monkeypatch):
    monkeypatch.setattr(preferences, "FLIPPED", 0.0)
    consensus = rows("train_pairs")
    assert [r["candidates"] for r in consensus] == [r["candidates"] for r in pairs]
    decided = [
        (ours["label"], theirs["label"])
        for ours, theirs in zip(pairs, consensus, strict=True)
        if theirs["label"] != "tie"
    ]
    flipped = sum(ours != theirs for ours, theirs in decided) / len(decided)
    assert 0.025 < flipped < 0.08
    assert all({ours, theirs} == {"first", "second"} for ours, theirs in decided if ours != theirs)


def test_held_out_labels_have_no_slips(monkeypatch):
    before = [row["label"] for row in rows("heldout_pairs", 0, 150)]
    monkeypatch.setattr(preferences, "FLIPPED", 1.0)
    assert [row["label"] for row in rows("heldout_pairs", 0, 150)] == before


def test_every_label_occurs_and_neither_place_is_preferred(pairs):
    labels = Counter(row["label"] for row in pairs)
    assert set(labels) == {"first", "second", "tie"}
    assert 0.1 < labels["tie"] / COUNT < 0.5
    assert 0.4 < labels["first"] / (labels["first"] + labels["second"]) < 0.6


def test_held_out_captions_are_never_trained_on():
    shown = {
        part: {row["prompt"] for row in rows(part, 0, n)}
        for part, n in (BAD | {"train_prompts": 200, "heldout_prompts": 100}).items()
    }
    trained = set.union(*(captions for part, captions in shown.items() if part.startswith("train")))
    kept = set.union(*(captions for part, captions in shown.items() if part.startswith("heldout")))
    assert not trained & kept
    assert all(held_out(caption) for caption in kept)
    assert not any(held_out(caption) for caption in trained)


def test_prompts_are_all_different_and_as_many_as_there_are():
    source = Scenes(None, 0, "image_generation", {"train_prompts": 100_000, "heldout_prompts": 5})
    everything = [row["prompt"] for row in source.read("train_prompts", 0, source.size("train_prompts"))]
    assert len(set(everything)) == len(everything) == source.size("train_prompts") < 3000
    assert source.size("heldout_prompts") == 5
    assert source.size("heldout_pairs") == 0
    for row in source.read("train_prompts", 0, 20):
        assert check_prompt(row) is None
        parse(row["prompt"])


def test_scores_of_one_rater_are_whole_and_those_of_the_consensus_are_not_rounded(points):
    assert {2.0, 3.0, 4.0, 5.0} <= {row["score"] for row in points} <= {1.0, 2.0, 3.0, 4.0, 5.0}
    consensus = [row["score"] for row in rows("heldout_points", 0, 100)]
    assert len(set(consensus) - {1.0, 2.0, 3.0, 4.0, 5.0}) > 5
    assert all(1 <= s <= 5 for s in consensus)


def test_people_mind_every_mistake_and_every_step_of_a_fault():
    table = np.array([[quality(wrong, strength) for strength in range(4)] for wrong in range(4)])
    assert table[0, 0] == 1.0
    assert (np.diff(table, axis=0) < 0).all()
    assert (np.diff(table, axis=1) < 0).all()
    assert (table > 0).all()


@pytest.mark.parametrize(
    ("asked", "drawn", "wrong"),
    [
        ("a red circle", "a red circle", 0),
        ("a red circle", "a blue circle", 1),
        ("a red circle", "a blue square", 2),
        ("a red circle", "two red circles", 1),
        ("three red circles", "a red circle", 2),
        ("a red circle and a blue square", "a red circle left of a blue square", 0),
        ("a red circle left of a blue square", "a blue square right of a red circle", 0),
        ("a red circle left of a blue square", "a red circle right of a blue square", 1),
        ("a red circle left of a blue square", "a red circle above a blue square", 1),
        ("a red circle left of a blue square", "a red circle and a blue square", 1),
        ("a red circle left of a blue square", "a red circle left of a green square", 1),
    ],
)
def test_wrongness_counts_what_differs(asked, drawn, wrong):
    assert wrongness(parse(asked), parse(drawn)) == wrong


def test_pictures_of_a_pair_differ(pairs):
    for row in pairs[:50]:
        one, two = (np.asarray(decode_image(c["media"])) for c in row["candidates"])
        assert not np.array_equal(one, two)

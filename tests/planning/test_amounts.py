import json

import pytest
from planning.runs import ABOUT_IMAGE, IMAGE, VIDEO, config

from urm_ray.config_training import TrainConfig
from urm_ray.planning import amounts
from urm_ray.planning.amounts import candidates, examples, passes, questions, rows, step_rows


def test_rows_are_as_many_as_are_asked_for_where_the_data_is_not_there():
    found = rows(config(prepare={"train_prompts": 7}), IMAGE)
    assert (found.of["train_prompts"], found.of["train_pairs"], found.counted) == (7, 100, frozenset())


def test_rows_are_counted_where_the_data_is_there(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"prompt {n}"}) + "\n" for n in range(30)))
    found = rows(config(prepare={"prompts_path": str(file), "train_prompts": 100, "heldout_prompts": 10}), IMAGE)
    assert (found.of["heldout_prompts"], found.of["train_prompts"]) == (10, 20)
    assert found.counted == {"heldout_prompts", "train_prompts"}


def write_labels(folder, count):
    rows = "".join(f"prompt {n},a.jpg,b.jpg,first\n" for n in range(count))
    (folder / "labels.csv").write_text("prompt,image_1,image_2,label\n" + rows)


@pytest.mark.parametrize("path", ["", "labels.csv"])
def test_labels_of_ones_own_are_counted_where_they_lie(tmp_path, path):
    write_labels(tmp_path, 40)
    prepare = {"preferences": "csv", "preferences_path": str(tmp_path / path), "train_pairs": 1000, "heldout_pairs": 10}
    found = rows(config(prepare=prepare, planning={"assumed": {"rows": {IMAGE: {"pairs": 500}}}}), IMAGE)
    assert (found.of["train_pairs"], found.of["heldout_pairs"], found.of["train_points"]) == (30, 10, 0)
    assert "train_pairs" in found.counted


def test_records_that_take_long_to_go_through_are_not_counted(tmp_path, monkeypatch):
    write_labels(tmp_path, 40)
    monkeypatch.setattr(amounts, "_QUICK", 100)
    found = rows(config(prepare={"preferences": "csv", "preferences_path": str(tmp_path), "train_pairs": 1000}), IMAGE)
    assert (found.of["train_pairs"], found.counted) == (1000, frozenset())


def test_candidates_are_counted_where_they_lie(tmp_path):
    file = tmp_path / "made.csv"
    policy = {"path": "", "candidates_path": str(file)}
    assert candidates(config(policy=policy), IMAGE) == [4]
    file.write_text("prompt,candidate\na cat,1.jpg\na cat,2.jpg\na cat,3.jpg\na dog,1.jpg\na dog,4.jpg\nnone,\n")
    assert candidates(config(policy=policy), IMAGE) == [3, 2]


def test_rows_that_are_assumed_are_no_more_than_are_asked_for():
    assumed = {"rows": {IMAGE: {"pairs": 60, "prompts": 40}}}
    prepare = {"train_pairs": 1000, "heldout_pairs": 20, "heldout_prompts": 10, "train_prompts": 5}
    of = rows(config(prepare=prepare, planning={"assumed": assumed}), IMAGE).of
    assert (of["heldout_pairs"], of["train_pairs"]) == (20, 40)
    assert (of["heldout_prompts"], of["train_prompts"]) == (10, 5)
    assert of["train_points"] == 100, "what nothing is said of stays as it is asked for"


def test_a_judge_that_is_there_needs_no_preferences():
    judge = {"path": "urm_ray.scenes:checkpoints/vlm"}
    of = rows(config(judge=judge), IMAGE).of
    assert {part: of[part] for part in of if not part.endswith("prompts")} == dict.fromkeys(list(of)[:4], 0)
    assert of["train_prompts"] == 200


def test_a_pass_has_pairs_twice_and_tasks_by_their_weights():
    both = config(
        IMAGE,
        VIDEO,
        prepare={"tasks": {VIDEO: {"train_pairs": 10, "train_points": 30}}},
        reward={"task_weights": {VIDEO: 2.0}},
    )
    made = examples(both, {task: rows(both, task) for task in both.tasks})
    assert made[IMAGE, "pair"] == 200
    assert made[IMAGE, "point"] == 100
    assert made[VIDEO, "pair"] / made[VIDEO, "point"] == pytest.approx(20 / 30)
    assert made[VIDEO, "pair"] + made[VIDEO, "point"] == pytest.approx(600)


def test_steps_and_passes():
    training = TrainConfig(batch=2, accumulate=16, workers=8, steps=100)
    assert step_rows(training) == 256
    assert passes(training, 12_800) == 2
    assert passes(training, 0) == 0


@pytest.mark.parametrize(
    ("pairs", "verdicts"),
    [
        ({}, {"pair": 4, "point": 4}),
        ({"both_orders": False}, {"pair": 2, "point": 4}),
        ({"ranking": "all"}, {"pair": 12, "point": 4}),
        ({"ranking": "swiss"}, {"pair": 8, "point": 4}),
        ({"ranking": "swiss", "both_orders": False, "calls": 7}, {"pair": 3, "point": 4}),
        ({"ranking": "none", "construction": "best_of", "calls": 3}, {"pair": 0, "point": 3}),
        ({"ranking": "none", "construction": "random", "points": False}, {"pair": 0, "point": 0}),
    ],
)
def test_verdicts_of_a_prompt(pairs, verdicts):
    assert questions(config(pairs=pairs), ABOUT_IMAGE, 4) == verdicts
    assert questions(config(pairs=pairs), ABOUT_IMAGE, 4, rank=False) == {"pair": 0, "point": 4}


def test_what_a_verdict_takes_several_questions_for_counts_as_often():
    judge = {"path": "urm_ray.scenes:checkpoints/vlm", "protocol": "unifiedreward_edit", "readout": "generate"}
    pairs = {"calls": 12}
    assert questions(config(pairs=pairs), IMAGE, 4) == {"pair": 4, "point": 4}
    # Its points are asked in two questions: a pair in both orders with the points of its two takes six.
    assert questions(config(judge=judge, pairs=pairs), IMAGE, 4) == {"pair": 4, "point": 4}
    assert questions(config(judge=judge, pairs={"calls": 11}), IMAGE, 4) == {"pair": 2, "point": 4}

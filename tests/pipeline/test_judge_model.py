"""A run whose judge was trained elsewhere."""

import pytest
from helpers import TASK, of_policy

from urm_ray import store
from urm_ray.config_file import build
from urm_ray.experiments.run import plan_experiments
from urm_ray.pipeline.judge_model import judge_model
from urm_ray.pipeline.mix_report import NOTED
from urm_ray.pipeline.run import ALIGNMENT, STAGES, Run, key
from urm_ray.pipeline.stages import run_steps
from urm_ray.store import StoreError


@pytest.fixture
def settings(tmp_path) -> dict:
    for name in ("judge", "policy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
    run = {"run": {"dir": str(tmp_path / "run")}, "judge": {"path": str(tmp_path / "judge")}}
    return run | of_policy(path=str(tmp_path / "policy"))


def test_no_judge_is_trained_or_measured(settings):
    run = Run(build(settings))
    assert [key(*step) for step in run.steps(STAGES)] == [
        f"{name}-{TASK}" for name in ("prepare", "generate", "pairs", "dpo", "baseline", "evaluate")
    ] + ["report"]
    assert set(run.digests) == {key(*step) for step in run.steps(STAGES)}


def test_candidates_are_put_to_the_judge_that_was_given(settings, tmp_path):
    run = Run(build(settings))
    model = judge_model(run)
    assert (model.path, model.scales) == (str(tmp_path / "judge"), {})
    before = run.digests
    (tmp_path / "judge" / "weights").write_bytes(b"new")
    other = Run(build(settings))
    assert judge_model(other).digest != model.digest
    assert {name for name in before if before[name] != other.digests[name]} == set(before) - {f"prepare-{TASK}"}


def test_a_judge_that_was_given_scores_on_the_scales_that_it_learned(settings, tmp_path):
    store.write_json(str(tmp_path / "judge" / NOTED), {TASK: "1-4"})
    run = Run(build(settings))
    assert judge_model(run).scales == {TASK: "1-4"}
    for wrong in ({TASK: "1-3000"}, {"cooking": "1-4"}, ["1-4"], {TASK: 4}):
        store.write_json(str(tmp_path / "judge" / NOTED), wrong)
        with pytest.raises(StoreError, match=rf"{NOTED} is not a scale of 1-5, .* for each task"):
            judge_model(run)


def test_a_judge_that_is_trained_is_taken_once_it_is_done(settings, tmp_path):
    run = Run(build(settings | {"judge": {}, "judge_base": {"path": str(tmp_path / "judge")}}))
    with pytest.raises(StoreError, match="stage reward is not done"):
        judge_model(run)
    reward = run.stage("reward")
    store.write_bytes(reward.path("model", "config.json"), b"judge")
    points = {"kind": "point", "task": TASK, "dimension": None, "scale": "1-10", "examples": 3}
    store.write_json(reward.path("mix.json"), {"groups": [points]})
    reward.finish(1.0)
    model = judge_model(run)
    assert (model.path, model.scales) == (reward.path("model"), {TASK: "1-10"})


def test_candidates_that_are_there_need_no_policy(settings, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("prompt,candidate\na cat,1.jpg")
    run = Run(build(settings | of_policy(candidates_path=str(path))))
    before = run.digests
    path.write_text("prompt,candidate\na cat,2.jpg")
    other = Run(build(settings | of_policy(candidates_path=str(path)))).digests
    changed = {name for name in before if before[name] != other[name]}
    assert changed == {f"{name}-{TASK}" for name in ("generate", "pairs", "dpo", "evaluate")} | {"report"}


def test_pictures_that_are_made_anew_under_the_same_names_are_other_data(settings, tmp_path):
    picture = tmp_path / "1.jpg"
    picture.write_bytes(b"one")
    (tmp_path / "mine.csv").write_text("prompt,candidate\na cat,1.jpg")
    (tmp_path / "asked.jsonl").write_text('{"prompt": "what?", "images": ["1.jpg"]}')
    (tmp_path / "labels.csv").write_text("prompt,image_1,image_2,label\na cat,1.jpg,2.jpg,first")
    given = settings | of_policy(candidates_path=str(tmp_path / "mine.csv"))
    asked = settings | {"prepare": {"prompts": "jsonl", "prompts_path": str(tmp_path / "asked.jsonl")}}
    taught = settings | {"judge": {}, "judge_base": {"path": str(tmp_path / "judge")}}
    taught |= {"prepare": {"preferences": "csv", "preferences_path": str(tmp_path / "labels.csv")}}
    first = {"generate": given, "prepare": asked, "reward": taught}
    before = {name: Run(build(values)).digests for name, values in first.items()}
    assert before == {name: Run(build(values)).digests for name, values in first.items()}
    picture.write_bytes(b"another")
    for name, values in first.items():
        changed = {step for step, old in before[name].items() if Run(build(values)).digests[step] != old}
        assert {step.partition("-")[0] for step in changed} >= {name, "pairs", "dpo", "report"}
        assert (f"prepare-{TASK}" in changed) == (name != "generate")


def test_a_policy_that_is_missing_is_told_before_anything_is_done(settings, tmp_path):
    none, made = (Run(build(settings | of_policy(**own))) for own in ({}, {"candidates_path": f"{tmp_path}/x.csv"}))
    (tmp_path / "x.csv").write_text("prompt,candidate\na cat,1.jpg")
    for run, names in ((none, ALIGNMENT), (made, ALIGNMENT[2:])):
        for name in names:
            with pytest.raises(
                StoreError, match=r"policies\.image_generation\.path: the policy of this task is missing"
            ):
                run_steps(run, [("prepare", TASK), (name, TASK)])
        assert not run.stage("prepare", TASK).done


def test_experiments_say_that_they_train_their_judges(settings):
    with pytest.raises(StoreError, match=r"leave judge\.path empty"):
        list(plan_experiments(Run(build(settings))))

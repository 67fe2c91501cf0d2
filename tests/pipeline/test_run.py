import json

import pytest
import yaml

from urm_ray import store
from urm_ray.config_file import build
from urm_ray.pipeline.run import STAGES, Run, execute
from urm_ray.store import StoreError

CHANGES = [
    # What changes a stage's result gives it, and every stage that reads it, a new folder; and no other stage.
    ({"run": {"seed": 1}}, STAGES),
    ({"prepare": {"train_pairs": 5}}, STAGES),
    ({"reward": {"steps": 7}}, STAGES[1:]),
    ({"judge": {"min_mass": 0.3}}, STAGES[2:]),
    ({"sampler": {"steps": 3}}, STAGES[3:]),
    ({"pairs": {"ties": "point"}}, STAGES[3:]),
    ({"generate": {"unit_rows": 3}}, STAGES[3:]),
    ({"dpo": {"beta": 10}}, STAGES[4:]),
    ({"evaluate": {"headline": "colour"}}, STAGES[5:]),
    ({"report": {"grid": 3}}, STAGES[6:]),
    # Where the work is done changes nothing.
    ({"generate": {"judge_pool": {"actors": 7, "num_gpus": 1}, "sampler_pool": {"num_cpus": 3}}}, ()),
    ({"judge": {"actors": {"actors": 4}}, "evaluate": {"judge_pool": {"actors": 4}}, "prepare": {"cpus": 4}}, ()),
    ({"reward": {"num_cpus": 3, "max_failures": 9}, "run": {"min_free_mib": 5}, "policy": {"device": "cuda"}}, ()),
]


@pytest.fixture
def models(tmp_path) -> dict:
    for name in ("judge", "policy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
    return {
        "run": {"dir": str(tmp_path / "run")},
        "judge_base": {"path": str(tmp_path / "judge")},
        "policy": {"path": str(tmp_path / "policy")},
    }


def run_of(models: dict, changes: dict | None = None) -> Run:
    changes = changes or {}
    return Run(build({name: models.get(name, {}) | changes.get(name, {}) for name in models.keys() | changes.keys()}))


def changed(before: Run, after: Run) -> tuple[str, ...]:
    return tuple(name for name in STAGES if before.digests[name] != after.digests[name])


@pytest.mark.parametrize(("changes", "stages"), CHANGES)
def test_a_setting_changes_the_folders_of_what_depends_on_it(models, changes, stages):
    assert changed(run_of(models), run_of(models, changes)) == tuple(stages)


def test_other_weights_in_the_same_place_are_another_run(models, tmp_path):
    before = run_of(models)
    assert before.digests
    (tmp_path / "policy" / "weights").write_bytes(b"new")
    assert changed(before, run_of(models)) == ("generate", "dpo", "evaluate", "report")
    (tmp_path / "judge" / "weights").write_bytes(b"new")
    assert "reward" in changed(before, run_of(models))


def test_other_prompts_in_the_same_file_are_another_run(models, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("a cat")
    before = run_of(models, {"prepare": {"prompts_path": str(path)}})
    assert before.digests
    path.write_text("a dog")
    assert changed(before, run_of(models, {"prepare": {"prompts_path": str(path)}})) == STAGES


def test_the_same_run_in_another_place_has_the_same_digests(models, tmp_path):
    assert changed(run_of(models), run_of(models, {"run": {"dir": str(tmp_path / "other")}})) == ()


def test_a_finished_stage_is_never_run_again(models):
    calls = []

    def stage_function(run, stage):
        calls.append(stage.name)
        return {"rows": 3}

    first = execute(run_of(models), "prepare", stage_function)
    again = execute(run_of(models), "prepare", stage_function)
    assert calls == ["prepare"]
    assert first == again
    assert first["rows"] == 3
    execute(run_of(models, {"run": {"seed": 1}}), "prepare", stage_function)
    assert calls == ["prepare", "prepare"]


def test_a_stage_that_failed_is_not_done_and_keeps_its_time(models):
    run = run_of(models)

    def fails(run, stage):
        store.write_bytes(stage.path("part"), b"x")
        raise RuntimeError("lost a node")

    with pytest.raises(RuntimeError, match="lost a node"):
        execute(run, "prepare", fails)
    assert not run.stage("prepare").done
    with pytest.raises(StoreError, match="stage prepare is not done"):
        run.finished("prepare")
    assert execute(run, "prepare", lambda run, stage: {})["seconds"] >= 0
    assert run.finished("prepare").done


def test_a_stage_does_not_start_without_space(models):
    run = run_of(models, {"run": {"dir": models["run"]["dir"], "min_free_mib": 1 << 40}})
    with pytest.raises(StoreError, match="no free space"):
        execute(run, "prepare", lambda run, stage: pytest.fail("it was started"))


def test_the_resolved_configuration_lies_in_the_run(models, tmp_path):
    run = run_of(models)
    run.write_resolved()
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert build(written["config"]) == run.config
    assert written["digests"] == run.digests
    assert {"ray", "torch"} <= set(written["packages"])
    json.dumps(written)

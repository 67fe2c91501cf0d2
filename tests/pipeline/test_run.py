import json

import pytest
import yaml
from helpers import TASK, of_policy

from urm_ray import store
from urm_ray.config_file import build
from urm_ray.pipeline.read_pairs import reference_of
from urm_ray.pipeline.run import STAGES, Run, execute, key
from urm_ray.store import StoreError

ALL = (
    "prepare-image_generation",
    "reward",
    "judge",
    "generate-image_generation",
    "pairs-image_generation",
    "dpo-image_generation",
    "baseline-image_generation",
    "evaluate-image_generation",
    "report",
)
AFTER = ALL[7:]
OTHER = "video_understanding"
FAR = {"judge_pool": {"actors": 7, "num_gpus": 1}, "sampler_pool": {"num_cpus": 3}}
CHANGES = [
    # What changes a stage's result gives it, and every stage that reads it, a new folder; and no other stage.
    ({"run": {"seed": 1}}, ALL),
    ({"prepare": {"train_pairs": 5}}, ALL),
    # Other prompts do not make another judge.
    ({"prepare": {"train_prompts": 5}}, (ALL[0], *ALL[3:])),
    ({"prepare": {"tasks": {"image_generation": {"heldout_prompts": 5}}}}, (ALL[0], *ALL[3:])),
    ({"prepare": {"tasks": {OTHER: {"train_pairs": 5}}}}, ()),
    ({"reward": {"steps": 7}}, ALL[1:]),
    ({"judge": {"min_mass": 0.3}}, ALL[2:]),
    # The judge is trained to see clips as it is shown them.
    ({"judge": {"clips": {"count": 4}}}, ALL[1:]),
    ({"judge": {"clips": {"shown": "native"}}}, ALL[1:]),
    (of_policy(clips={"rate": 2}), ALL[3:]),
    (of_policy(sampler={"steps": 3}), ALL[3:]),
    # How the policy is aligned does not change what it was before.
    ({"pairs": {"both_orders": False}}, (*ALL[3:6], *AFTER)),
    ({"pairs": {"ranking": "swiss"}}, (*ALL[3:6], *AFTER)),
    ({"pairs": {"calls": 12}}, (*ALL[3:6], *AFTER)),
    ({"pairs": {"points": False, "construction": "pair"}}, (*ALL[3:6], *AFTER)),
    (of_policy(generate={"unit_rows": 3}), (*ALL[3:6], *AFTER)),
    # How pairs are made of verdicts asks the judge nothing again.
    ({"pairs": {"ties": "point"}}, (*ALL[4:6], *AFTER)),
    ({"pairs": {"construction": "random", "orders": "first", "keep": 3}}, (*ALL[4:6], *AFTER)),
    ({"pairs": {"construction": "bradley_terry"}}, (*ALL[4:6], *AFTER)),
    (of_policy(dpo={"beta": 10}), (ALL[5], *AFTER)),
    (of_policy(evaluate={"headline": "colour"}), ALL[6:]),
    ({"report": {"grid": 3}}, ALL[8:]),
    # Where the work is done changes nothing, and neither does the policy of a task that is left out.
    (of_policy(generate=FAR), ()),
    ({"judge": {"actors": {"actors": 4}}, "prepare": {"cpus": 4}}, ()),
    (of_policy(evaluate={"judge_pool": {"actors": 4}}, device="cuda"), ()),
    ({"reward": {"num_cpus": 3, "max_failures": 9}, "run": {"min_free_mib": 5}}, ()),
    ({"policies": {OTHER: {"dpo": {"beta": 10}}}}, ()),
]


@pytest.fixture
def models(tmp_path) -> dict:
    for name in ("judge", "policy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(name)
    return {
        "run": {"dir": str(tmp_path / "run")},
        "judge_base": {"path": str(tmp_path / "judge")},
    } | of_policy(path=str(tmp_path / "policy"))


def run_of(models: dict, changes: dict | None = None) -> Run:
    return Run(build(merged(models, changes or {})))


def merged(values: dict, changes: dict) -> dict:
    new = {k: merged(values.get(k, {}), v) if isinstance(v, dict) else v for k, v in changes.items()}
    return values | new


def changed(before: Run, after: Run) -> tuple[str, ...]:
    return tuple(name for name in after.digests if before.digests.get(name) != after.digests[name])


@pytest.mark.parametrize(("changes", "stages"), CHANGES)
def test_a_setting_changes_the_folders_of_what_depends_on_it(models, changes, stages):
    assert changed(run_of(models), run_of(models, changes)) == tuple(stages)


def test_candidates_depend_on_how_the_policy_is_shown_clips(models):
    plain, native = run_of(models), run_of(models, of_policy(clips={"shown": "native"}))
    assert plain.sampler_digest(TASK, "policy") != native.sampler_digest(TASK, "policy")
    assert plain.sampler_digest(TASK, "policy") == run_of(models).sampler_digest(TASK, "policy")


def test_the_published_procedure_is_no_other_run_than_one_with_its_settings(models):
    own = {"pairs": {"both_orders": False, "ties": "first"}, "judge": {"readout": "generate"}}
    assert changed(run_of(models, own), run_of(models, {"paper_exact": True})) == ()
    assert changed(run_of(models), run_of(models, own)) == ALL[2:]


def test_the_stored_reference_depends_on_how_the_policy_is_shown_clips(models):
    plain, native = run_of(models), run_of(models, of_policy(clips={"shown": "native"}))
    assert reference_of(plain, TASK) != reference_of(native, TASK)
    assert reference_of(plain, TASK) == reference_of(run_of(models, of_policy(vlm_dpo={"beta": 3})), TASK)


def prepare_of(run: Run) -> tuple:
    return run, run.stage("prepare", TASK)


def test_several_tasks_share_a_judge_and_have_stages_of_their_own(models):
    both = run_of(models, {"tasks": [TASK, OTHER], "policies": {OTHER: {"path": models["judge_base"]["path"]}}})
    assert [key(*step) for step in both.steps(STAGES)] == [
        "prepare-image_generation",
        "prepare-video_understanding",
        "reward",
        "judge",
        "generate-image_generation",
        "pairs-image_generation",
        "dpo-image_generation",
        "baseline-image_generation",
        "evaluate-image_generation",
        "generate-video_understanding",
        "pairs-video_understanding",
        "dpo-video_understanding",
        "baseline-video_understanding",
        "evaluate-video_understanding",
        "report",
    ]
    assert set(both.digests) == {key(*step) for step in both.steps(STAGES)}
    assert both.steps(["dpo"]) == [("dpo", TASK), ("dpo", OTHER)]
    # Preferences are prepared for each task alone; the judge is another one where it learns from both.
    assert run_of(models).digests[ALL[0]] == both.digests[ALL[0]]
    assert run_of(models).digests["reward"] != both.digests["reward"]
    second = {"path": models["judge_base"]["path"], "vlm_dpo": {"beta": 7}}
    other = {"tasks": [TASK, OTHER], "policies": {OTHER: second}}
    assert changed(both, run_of(models, other)) == (f"dpo-{OTHER}", f"evaluate-{OTHER}", "report")


def test_other_weights_in_the_same_place_are_another_run(models, tmp_path):
    before = run_of(models)
    assert before.digests
    (tmp_path / "policy" / "weights").write_bytes(b"new")
    assert changed(before, run_of(models)) == ALL[3:]
    (tmp_path / "judge" / "weights").write_bytes(b"new")
    assert "reward" in changed(before, run_of(models))


def test_other_prompts_in_the_same_file_are_another_run(models, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("a cat")
    before = run_of(models, {"prepare": {"prompts_path": str(path)}})
    assert before.digests
    path.write_text("a dog")
    assert changed(before, run_of(models, {"prepare": {"prompts_path": str(path)}})) == (ALL[0], *ALL[3:])


def test_the_same_run_in_another_place_has_the_same_digests(models, tmp_path):
    assert changed(run_of(models), run_of(models, {"run": {"dir": str(tmp_path / "other")}})) == ()


def test_a_finished_stage_is_never_run_again(models):
    calls = []

    def stage_function(run, stage):
        calls.append(stage.name)
        return {"rows": 3}

    first = execute(*prepare_of(run_of(models)), stage_function)
    again = execute(*prepare_of(run_of(models)), stage_function)
    assert calls == [ALL[0]]
    assert first == again
    assert first["rows"] == 3
    execute(*prepare_of(run_of(models, {"run": {"seed": 1}})), stage_function)
    assert calls == [ALL[0], ALL[0]]


def test_a_stage_that_failed_is_not_done_and_keeps_its_time(models):
    run = run_of(models)

    def fails(run, stage):
        store.write_bytes(stage.path("part"), b"x")
        raise RuntimeError("lost a node")

    with pytest.raises(RuntimeError, match="lost a node"):
        execute(*prepare_of(run), fails)
    assert not run.stage("prepare", TASK).done
    with pytest.raises(StoreError, match="stage prepare-image_generation is not done"):
        run.finished("prepare", TASK)
    assert execute(*prepare_of(run), lambda run, stage: {})["seconds"] >= 0
    assert run.finished("prepare", TASK).done


def test_the_error_of_a_stage_is_told_though_its_time_cannot_be_kept(models):
    run, stage = prepare_of(run_of(models))

    def works(run, stage):
        store.write_bytes(stage.path("seconds.json", "in-the-way"), b"x")
        return {}

    def fails(run, stage):
        works(run, stage)
        raise RuntimeError("lost a node")

    with pytest.raises(RuntimeError, match="lost a node"):
        execute(run, stage, fails)
    stage.forget()
    with pytest.raises(OSError, match=r"seconds\.json"):
        execute(run, stage, works)
    assert not stage.done


def test_a_stage_does_not_start_without_space(models):
    run = run_of(models, {"run": {"dir": models["run"]["dir"], "min_free_mib": 1 << 40}})
    with pytest.raises(StoreError, match="no free space"):
        execute(*prepare_of(run), lambda run, stage: pytest.fail("it was started"))


def test_the_resolved_configuration_lies_in_the_run(models, tmp_path):
    run = run_of(models)
    run.write_resolved()
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert build(written["config"]) == run.config
    assert written["digests"] == run.digests
    assert {"ray", "torch"} <= set(written["packages"])
    json.dumps(written)


def test_a_task_may_have_prompts_of_its_own(models, tmp_path):
    for name in ("all", "own"):
        (tmp_path / f"{name}.txt").write_text(name)
    tasks = {"tasks": [TASK, OTHER], "policies": {OTHER: {"path": models["judge_base"]["path"]}}}
    own = {
        "prepare": {"prompts_path": f"{tmp_path}/all.txt", "tasks": {OTHER: {"prompts_path": f"{tmp_path}/own.txt"}}}
    }
    before = run_of(models, tasks | own)
    assert before.config.prepare.of_task(TASK).prompts_path != before.config.prepare.of_task(OTHER).prompts_path
    assert before.digests
    (tmp_path / "own.txt").write_text("other prompts")
    stages = [f"{name}-{OTHER}" for name in ("prepare", "generate", "pairs", "dpo", "baseline", "evaluate")]
    assert changed(before, run_of(models, tasks | own)) == (*stages, "report")

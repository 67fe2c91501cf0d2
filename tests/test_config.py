import pytest
from helpers import TASK, of_policy, run_python
from pydantic import ValidationError

from urm_ray.config import Config
from urm_ray.config_file import ConfigError, build
from urm_ray.config_policy import ClipConfig
from urm_ray.config_training import DpoConfig, LoraConfig, PoolConfig, RewardConfig, VlmDpoConfig


def refused(values: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        build(values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "about"),
    [
        (of_policy(sampler={"candidates": 9}), "even"),
        ({"reward": {"checkpoint_steps": 25, "log_steps": 10}}, "multiple of log_steps"),
        (of_policy(dpo={"reference": "adapter_off"}), "needs a lora section"),
        ({"tasks": []}, "tasks"),
        ({"tasks": [TASK, TASK]}, "once"),
        ({"policies": {"image_making": {}}}, "policies.image_making"),
        ({"tasks": ["image_generations"]}, "tasks.0"),
        ({"pairs": {"ties": "second"}}, "pairs.ties"),
        ({"pairs": {"min_margin": -0.5}}, "pairs.min_margin"),
        ({"pairs": {"construction": "best"}}, "pairs.construction"),
        ({"pairs": {"keep": 0}}, "pairs.keep"),
        ({"judge": {"min_mass": 1.5}}, "judge.min_mass"),
        (of_policy(dpo={"lr": 0}), f"policies.{TASK}.dpo.lr"),
        ({"run": 5}, "run"),
        ({"reward": {"zero_stage": 4}}, "reward.zero_stage"),
        ({"reward": {"workers": 4, "min_workers": 3}}, "min_workers must divide workers (4)"),
        ({"reward": {"workers": 2, "min_workers": 4}}, "min_workers must divide workers (2)"),
        ({"reward": {"labels": {"group": "in()"}}}, "group: in() is not LABEL: value"),
        ({"judge": {"actors": {"labels": {"-group": "a"}}}}, "-group: a is not LABEL: value"),
        ({"judge": {"actors": {"labels": {"ray.io/accelerator-type": "A"}, "accelerator_type": "B"}}}, "leave one out"),
        (of_policy(generate={"budget": {}}), "set gpus or actors"),
        (of_policy(generate={"budget": {"gpus": 4, "actors": 4}}), "set gpus or actors"),
        (of_policy(generate={"budget": {"gpus": 4}}), "none of sampler_pool, judge_pool has num_gpus"),
        (of_policy(generate={"budget": {"actors": 1}}), "1 is less than the actors of sampler_pool, judge_pool: 2"),
        (of_policy(evaluate={"budget": {"actors": 2}, "scorer_model": "clip"}), "judge_pool, scorer_pool: 3"),
    ],
)
def test_a_value_that_cannot_work_is_refused(values, about):
    assert about in refused(values)


def test_a_reference_without_an_adapter_is_accepted_with_lora():
    assert build(of_policy(dpo={"reference": "adapter_off", "lora": {}})).policy(TASK).dpo.lora == LoraConfig()


def test_a_configuration_cannot_be_changed():
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.run.seed = 3
    assert config.run.seed == 0


def test_a_digest_changes_with_what_changes_a_result_and_with_nothing_else():
    def digest(values):
        config = build(values)
        return config.digest_of("judge", "prepare"), config.policy(TASK).digest_of("sampler", "generate", "evaluate")

    same = digest({})
    assert digest({"judge": {"actors": {"actors": 9, "num_gpus": 1}}}) == same
    assert digest(of_policy(generate={"sampler_pool": {"actors": 5}}) | {"prepare": {"cpus": 0.5}}) == same
    assert digest({"run": {"dir": "elsewhere", "min_free_mib": 1}}) == same
    pools = {"judge_pool": {"labels": {"group": "judge"}, "accelerator_type": "H100"}, "budget": {"actors": 9}}
    assert digest(of_policy(generate=pools, evaluate=pools)) == same
    for change in (
        of_policy(sampler={"steps": 21}),
        of_policy(path="other"),
        of_policy(sampler={"answers": {"temperature": 0.9}}),
        {"judge": {"min_mass": 0.2}},
        {"prepare": {"train_pairs": 1}},
        of_policy(generate={"unit_rows": 3}),
    ):
        assert digest(change) != same, change


def test_how_an_object_store_is_spoken_to_does_not_change_a_digest():
    def digest(query):
        path = f"s3://bucket/model{query}"
        config = build(of_policy(path=path, evaluate={"scorer_model": path}) | {"judge": {"path": path}})
        return config.digest_of("judge"), config.policy(TASK).digest_of("evaluate")

    assert digest("") == digest("?region=eu-west-1&max_attempts=3")


@pytest.mark.parametrize("section", ["reward", "dpo"])
def test_the_place_of_a_training_does_not_change_its_digest(section):
    def digest(change):
        config = build(of_policy(dpo=change) | {"reward": change})
        return (config if section == "reward" else config.policy(TASK)).digest_of(section)

    for change in ({"max_failures": 7}, {"num_cpus": 4}, {"accelerator_type": "H100"}, {"labels": {"group": "a"}}):
        assert digest(change) == digest({}), change
    assert digest({"workers": 4, "min_workers": 2}) == digest({"workers": 4}) != digest({})
    assert digest({"steps": 7}) != digest({})


def test_the_pool_that_encodes_pairs_does_not_change_a_digest_and_what_it_stores_does():
    def digest(change):
        return build(of_policy(dpo=change)).policy(TASK).digest_of("dpo")

    assert digest({"encode_pool": {"actors": 9, "num_gpus": 1}}) == digest({})
    assert digest({"reference": "stored"}) != digest({})


def test_training_sections_share_their_settings():
    assert set(RewardConfig.model_fields) & set(DpoConfig.model_fields) >= {
        "steps",
        "batch",
        "lr",
        "workers",
        "zero_stage",
    }


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ({"loss_type": []}, "at least 1"),
        ({"loss_type": ["dpo"]}, "loss_type.0"),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}, "one weight for each loss_type"),
        ({"loss_type": ["exo_pair"]}, "needs label_smoothing"),
        ({"label_smoothing": 0.5}, "label_smoothing"),
        ({"max_length": 0}, "max_length"),
    ],
)
def test_a_vlm_dpo_that_cannot_work_is_refused(values, about):
    with pytest.raises(ValidationError, match=about):
        VlmDpoConfig(**values)


def test_clips_are_eight_frames_unless_told_otherwise():
    def chosen(**values):
        clips = build({"judge": {"clips": values}}).judge.clips
        return clips.count, clips.rate, clips.maximum

    assert Config().judge.clips == Config().policy(TASK).clips == ClipConfig()
    assert chosen() == chosen(shown="native") == (8, None, 64)
    assert chosen(count=3) == (3, None, 64)
    assert chosen(rate=2) == (None, 2, 64)
    assert chosen(maximum=16) == (None, None, 16)
    for clips in (ClipConfig(), ClipConfig(rate=2), ClipConfig(maximum=16, shown="native")):
        assert ClipConfig(**clips.model_dump()) == clips


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ({"count": 3, "rate": 2}, "by count or by rate, not by both"),
        ({"shown": "both"}, "judge.clips.shown"),
        ({"frames": 8}, "unknown key judge.clips.frames"),
        ({"count": 0}, "judge.clips.count"),
        (5, "judge.clips"),
    ],
)
def test_a_way_to_show_clips_that_cannot_work_is_refused(values, about):
    assert about in refused({"judge": {"clips": values}})


def test_several_losses_have_a_weight_each():
    assert VlmDpoConfig(loss_type=["sigmoid", "sft"], loss_weights=[0.8, 1.0]).loss_weights == [0.8, 1.0]
    assert VlmDpoConfig(loss_type=["exo_pair"], label_smoothing=1e-3).beta == 0.1


def test_importing_the_configuration_needs_neither_torch_nor_ray():
    heavy = "{'torch', 'ray', 'transformers', 'diffusers'}"
    code = f"import sys, urm_ray.config, urm_ray.config_file, urm_ray.cli; print(sorted({heavy} & set(sys.modules)))"
    done = run_python("-c", code)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_a_task_can_have_other_numbers_of_rows():
    config = Config(prepare={"train_prompts": 9, "tasks": {"video_generation": {"train_prompts": 3}}})
    assert config.prepare.of_task("video_generation").train_prompts == 3
    assert config.prepare.of_task("image_generation").train_prompts == 9
    assert config.prepare.of_task("video_generation").train_pairs == config.prepare.train_pairs
    plain = Config(prepare={"train_prompts": 9})
    assert config.digest_of_prepare("image_generation") == plain.digest_of_prepare("image_generation")
    assert config.digest_of_prepare("video_generation") != plain.digest_of_prepare("video_generation")


@pytest.mark.parametrize("wanted", ["judge", "!judge", "in(judge)", "in(a, b)", "!in(a,b)", "H100-80.GB_x"])
def test_labels_are_what_ray_takes_for_a_selector(wanted):
    from ray._private.label_utils import validate_label_selector

    labels = {"urm-ray/group": wanted, "zone": "a"}
    assert validate_label_selector(labels) is None
    assert PoolConfig(labels=labels).label_selector == labels
    pool = PoolConfig(labels=labels, accelerator_type="H100")
    assert pool.label_selector == labels | {"ray.io/accelerator-type": "H100"}

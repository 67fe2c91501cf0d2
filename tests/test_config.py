import pytest
from helpers import run_python
from pydantic import ValidationError

from urm_ray.config import Config, DpoConfig, LoraConfig, RewardConfig
from urm_ray.config_file import ConfigError, build


def refused(values: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        build(values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ({"sampler": {"candidates": 9}}, "even"),
        ({"reward": {"checkpoint_steps": 25, "log_steps": 10}}, "multiple of log_steps"),
        ({"dpo": {"reference": "adapter_off"}}, "needs a lora section"),
        ({"tasks": []}, "tasks"),
        ({"tasks": ["image_generations"]}, "tasks.0"),
        ({"pairs": {"ties": "first"}}, "pairs.ties"),
        ({"pairs": {"min_margin": -0.5}}, "pairs.min_margin"),
        ({"judge": {"min_mass": 1.5}}, "judge.min_mass"),
        ({"dpo": {"lr": 0}}, "dpo.lr"),
        ({"run": 5}, "run"),
        ({"reward": {"zero_stage": 4}}, "reward.zero_stage"),
    ],
)
def test_a_value_that_cannot_work_is_refused(values, about):
    assert about in refused(values)


def test_a_reference_without_an_adapter_is_accepted_with_lora():
    assert build({"dpo": {"reference": "adapter_off", "lora": {}}}).dpo.lora == LoraConfig()


def test_a_configuration_cannot_be_changed():
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.run.seed = 3
    assert config.run.seed == 0


def test_a_digest_changes_with_what_changes_a_result_and_with_nothing_else():
    config = build({})

    def digest(values):
        return build(values).digest_of("sampler", "judge", "generate", "prepare", "evaluate")

    same = config.digest_of("sampler", "judge", "generate", "prepare", "evaluate")
    assert digest({"judge": {"actors": {"actors": 9, "num_gpus": 1}}}) == same
    assert digest({"generate": {"sampler_pool": {"actors": 5}}, "prepare": {"cpus": 0.5}}) == same
    assert digest({"run": {"dir": "elsewhere", "min_free_mib": 1}}) == same
    for change in (
        {"sampler": {"steps": 21}},
        {"sampler": {"answers": {"temperature": 0.9}}},
        {"judge": {"min_mass": 0.2}},
        {"prepare": {"train_pairs": 1}},
        {"generate": {"unit_rows": 3}},
    ):
        assert digest(change) != same, change


@pytest.mark.parametrize("section", ["reward", "dpo"])
def test_the_place_of_a_training_does_not_change_its_digest(section):
    for change in ({"max_failures": 7}, {"num_cpus": 4}):
        assert build({section: change}).digest_of(section) == Config().digest_of(section), change
    assert build({section: {"steps": 7}}).digest_of(section) != Config().digest_of(section)


def test_training_sections_share_their_settings():
    assert set(RewardConfig.model_fields) & set(DpoConfig.model_fields) >= {
        "steps",
        "batch",
        "lr",
        "workers",
        "zero_stage",
    }


def test_importing_the_configuration_needs_neither_torch_nor_ray():
    heavy = "{'torch', 'ray', 'transformers', 'diffusers'}"
    code = f"import sys, urm_ray.config, urm_ray.config_file, urm_ray.cli; print(sorted({heavy} & set(sys.modules)))"
    done = run_python("-c", code)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr

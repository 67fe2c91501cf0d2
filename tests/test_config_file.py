import json
from pathlib import Path

import pytest
import yaml
from helpers import ROOT, TASK, of_policy

from urm_ray.config import Config
from urm_ray.config_file import ConfigError, build, load, override
from urm_ray.config_training import LoraConfig

OWN = f"policies.{TASK}"
POOL = f"{OWN}.evaluate.judge_pool"
MIX = "unifiedreward_mix.yaml"  # no run but what prepare_data.py reads: tests/test_config_mix.py
FILES = [path for path in sorted((ROOT / "jobs/configs").glob("*.yaml")) if path.name != MIX]


def write(folder: Path, text: str) -> str:
    path = folder / "run.yaml"
    path.write_text(text)
    return str(path)


def refused(values: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        build(values)
    return str(caught.value)


def test_there_are_configurations_to_check():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_shipped_configuration_is_valid(path):
    config = load(path)
    given = yaml.safe_load(path.read_text())
    given.pop("extends", None)

    def check(values, section):
        for key, value in values.items():
            mine = section[key] if isinstance(section, dict) else getattr(section, key)
            if isinstance(value, dict):
                check(value, mine)
            else:
                assert mine == value, key

    check(given, config)
    assert config.run.dir != Config().run.dir, "two configurations must not share a run folder by default"


def test_the_resolved_configuration_gives_the_same_configuration_again(tmp_path):
    config = load(FILES[0])
    again = load(write(tmp_path, yaml.safe_dump(config.model_dump(mode="json"))))
    assert again == config
    assert Config(**json.loads(json.dumps(config.model_dump()))) == config


@pytest.mark.parametrize(
    ("values", "name", "meant"),
    [
        ({"rewrd": {}}, "rewrd", "reward"),
        ({"reward": {"step": 3}}, "reward.step", "reward.steps"),
        (of_policy(evaluate={"judge_pool": {"actor": 2}}), f"{POOL}.actor", f"{POOL}.actors"),
        (of_policy(dpo={"lora": {"rnk": 4}}), f"{OWN}.dpo.lora.rnk", f"{OWN}.dpo.lora.rank"),
        (of_policy(paht="x"), f"{OWN}.paht", f"{OWN}.path"),
        ({"pairs": {"margin": 1}}, "pairs.margin", "pairs.min_margin"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_valid_name(values, name, meant):
    message = refused(values)
    assert f"unknown key {name};" in message
    assert f"did you mean {meant}?" in message


def test_a_key_like_no_other_is_refused_without_a_guess():
    message = refused({"reward": {"qqqqqqqq": 1}})
    assert message == "unknown key reward.qqqqqqqq"


def test_every_mistake_is_named_at_once():
    message = refused(of_policy(sampler={"candidates": "many"}, dpo={"beta": -1}) | {"evaluat": {}})
    assert all(name in message for name in ("sampler.candidates", "dpo.beta", "evaluat"))
    assert "\n" not in message


@pytest.mark.parametrize(
    ("assignment", "read"),
    [
        ("run.seed=7", lambda c: c.run.seed == 7),
        ("reward.lr=1e-3", lambda c: c.reward.lr == 0.001),
        (f"{OWN}.dpo.lora={{rank: 4}}", lambda c: c.policy(TASK).dpo.lora == LoraConfig(rank=4)),
        (f"{OWN}.dpo.lora.rank=4", lambda c: c.policy(TASK).dpo.lora == LoraConfig(rank=4)),
        (f"{OWN}.sampler.negative_prompt=", lambda c: c.policy(TASK).sampler.negative_prompt is None),
        ("report.title=a=b", lambda c: c.report.title == "a=b"),
        (f"{OWN}.generate.judge_pool.actors=3", lambda c: c.policy(TASK).generate.judge_pool.actors == 3),
        (f"{OWN}.dpo.lora=null", lambda c: c.policy(TASK).dpo.lora is None),
        ("reward.bf16=true", lambda c: c.reward.bf16 is True),
    ],
)
def test_an_override_wins_over_the_file(tmp_path, assignment, read):
    path = write(
        tmp_path,
        "run: {seed: 1}\nreward: {lr: 0.5}\npolicies: {image_generation: {sampler: {negative_prompt: blurry}}}\n",
    )
    assert read(load(path, [assignment]))
    assert load(path).run.seed == 1


def test_the_last_of_two_overrides_wins(tmp_path):
    assert load(write(tmp_path, ""), ["run.seed=1", "run.seed=2"]).run.seed == 2


@pytest.mark.parametrize("assignment", ["run.seed", "=3", "run.seed.deep=1", "run.seed=[1", "tasks.0=x"])
def test_a_bad_override_is_refused_by_its_own_words(tmp_path, assignment):
    with pytest.raises(ConfigError, match="--set") as caught:
        load(write(tmp_path, "run: {seed: 1}\ntasks: [image_generation]\n"), [assignment])
    assert assignment.split("=")[0] in str(caught.value)


def test_an_override_of_an_unknown_key_is_refused_like_a_key_of_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown key run\.sed; did you mean run\.seed\?"):
        load(write(tmp_path, ""), ["run.sed=1"])


def test_overrides_leave_other_settings_alone():
    values = {"run": {"seed": 1, "dir": "x"}}
    override(values, "run.seed=2")
    assert values == {"run": {"seed": 2, "dir": "x"}}


@pytest.mark.parametrize(
    ("content", "about"),
    [(b"run: [", "not YAML"), (b"- a\n", "must hold sections"), (b"\xff\xfe\x00r", "cannot read"), (b"1: 2\n", "1")],
)
def test_a_broken_file_is_one_sentence(tmp_path, content, about):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=about) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml")


def layered(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_a_file_changes_what_the_one_it_extends_says_and_leaves_the_rest(tmp_path):
    layered(
        tmp_path,
        under=f"run: {{seed: 1, dir: x}}\ntasks: [{TASK}]\nreward: {{steps: 5, lora: {{rank: 2}}}}\n",
        middle="extends: under.yaml\nrun: {seed: 2}\nreward: {lora: {alpha: 3}}\n",
        top="extends: middle.yaml\ntasks: [video_generation]\nreward: {lora: null}\n",
    )
    middle, top = (load(tmp_path / f"{name}.yaml") for name in ("middle", "top"))
    assert (middle.run.seed, middle.run.dir, middle.reward.steps) == (2, "x", 5)
    assert middle.reward.lora == LoraConfig(rank=2, alpha=3)
    assert (top.run.seed, top.tasks, top.reward.lora) == (2, ["video_generation"], None)
    assert load(tmp_path / "top.yaml", ["run.dir=y"]).run.dir == "y"


def test_a_file_that_extends_nothing_or_itself_is_told(tmp_path):
    layered(tmp_path, one="extends: two.yaml\n", two="extends: one.yaml\n", three="extends: four.yaml\n")
    with pytest.raises(ConfigError, match=r"two\.yaml extends a file that extends it"):
        load(tmp_path / "one.yaml")
    with pytest.raises(ConfigError, match=r"cannot read .*four\.yaml"):
        load(tmp_path / "three.yaml")


def test_an_empty_file_is_all_defaults(tmp_path):
    assert load(write(tmp_path, "")) == Config()


def test_an_override_changes_one_section_and_not_those_that_share_its_anchor(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "policies:\n"
        "  image_generation: {path: a, dpo: &dpo {steps: 6, beta: 500.0}}\n"
        "  video_generation: {path: b, dpo: *dpo}\n"
    )
    policies = load(file, ["policies.image_generation.dpo.steps=8"]).policies
    assert (policies["image_generation"].dpo.steps, policies["video_generation"].dpo.steps) == (8, 6)
    assert policies["image_generation"].dpo.beta == policies["video_generation"].dpo.beta == 500.0

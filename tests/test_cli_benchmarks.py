"""The command line of judges on benchmarks."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from urm_ray import cli, cli_benchmarks
from urm_ray.config_benchmarks import BenchmarkConfig
from urm_ray.config_file import ConfigError

NAMES = ["benchmarks", "judge"]
ASKED = ("--judge", "runs/reward-1234/model", "--benchmark", "mmrb2=MMRB2", "--out", "bench")


def settings(*arguments: str) -> BenchmarkConfig:
    return cli_benchmarks._config(cli.parse(NAMES, "", arguments))


def stopped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as found:
        cli.parse(NAMES, "", arguments)
    assert found.value.code == 2
    return capsys.readouterr().err


def test_what_is_not_said_is_as_it_is_everywhere():
    found = settings(*ASKED)
    assert found == BenchmarkConfig(judges={"reward-1234": "runs/reward-1234/model"}, benchmarks={"mmrb2": "MMRB2"})


def test_every_option_has_its_place():
    options = "--protocol unifiedreward_qwen --readout generate --batch 4 --dtype bfloat16 --actors 8 --num-cpus 2"
    options += " --num-gpus 1 --limit 100 --points --judgements 5 --seed 3 --resamples 500 --set clips.count=16"
    found = settings(*ASKED, *options.split())
    judge = found.judge
    assert (judge.protocol, judge.readout, judge.batch, judge.dtype) == (
        "unifiedreward_qwen",
        "generate",
        4,
        "bfloat16",
    )
    assert (judge.actors.actors, judge.actors.num_cpus, judge.actors.num_gpus) == (8, 2, 1)
    assert (judge.resamples, judge.clips.count) == (500, 16)
    assert (found.limit, found.points, found.judgements, found.seed) == (100, True, 5, 3)


def test_options_do_not_undo_other_settings_of_the_same_section():
    found = settings(*ASKED, "--set", "actors.accelerator_type=H100", "--actors", "2")
    assert (found.judge.actors.actors, found.judge.actors.accelerator_type) == (2, "H100")


def test_judges_and_benchmarks_are_named_or_name_themselves():
    found = settings(
        "--judge",
        "CodeGoat24/UnifiedReward-7b",
        "--judge",
        "mine=/a/b=c/model",
        "--judge",
        "/runs/x=1/reward/model",
        "--benchmark",
        "vl_rewardbench",
        "--benchmark",
        "mmrb2=/data/a=b",
        "--out",
        "x",
    )
    assert found.judges == {
        "UnifiedReward-7b": "CodeGoat24/UnifiedReward-7b",
        "mine": "/a/b=c/model",
        "reward": "/runs/x=1/reward/model",
    }
    assert found.benchmarks == {"vl_rewardbench": "", "mmrb2": "/data/a=b"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--judge", "other/reward-1234/model"), "is there twice"),
        (("--benchmark", "mmrb2=x"), "is there twice"),
        (("--judge", "a b=x"), "no name for a folder"),
        (("--set", "clip.count=3"), "did you mean judge.clips"),
        (("--limit", "0"), "limit"),
        (("--readout", "mind"), "readout"),
    ],
)
def test_mistakes_are_one_sentence(capsys, more, said):
    with pytest.raises(ConfigError, match=said):
        settings(*ASKED, *more)
    assert cli.main(NAMES, "", [*ASKED, *more]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--config FILE, or --judge"),
        (("--out", "x"), "--out needs --judge"),
        (("--judge", "x", "--out", "y"), "--out needs --judge"),
        (("--config", "x.yaml", "--judge", "y"), "--judge does not go with --config"),
        (("--config", "x.yaml", "--num-gpus", "1"), "--num-gpus does not go with --config"),
        ((*ASKED, "--recompute"), "--recompute asks no judge"),
    ],
)
def test_options_that_do_not_belong_together_end_the_program(capsys, arguments, said):
    assert said in stopped(capsys, *arguments)


def test_recompute_needs_nothing_but_the_folder():
    arguments = cli.parse(NAMES, "", ["--recompute", "--out", "x", "--seed", "4"])
    assert arguments.recompute
    assert cli_benchmarks._config(arguments) == BenchmarkConfig(seed=4)


def test_a_configuration_still_runs_the_stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    seen: list[argparse.Namespace | tuple[str, ...]] = []
    monkeypatch.setattr(cli, "_run", lambda names, config, plan: seen.append(tuple(names)) or 0)
    (tmp_path / "run.yaml").write_text("run: {seed: 1}\n")
    assert cli.main(NAMES, "", ["--config", str(tmp_path / "run.yaml")]) == 0
    assert seen == [("benchmarks", "judge")]


def test_nothing_to_recompute_is_one_sentence(capsys, tmp_path: Path):
    assert cli.main(NAMES, "", ["--recompute", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "holds no predictions" in said


def test_a_judge_that_is_not_there_is_one_sentence(capsys, tmp_path: Path):
    asked = ["--judge", "/nowhere/model", "--benchmark", f"preferences={tmp_path}", "--out", str(tmp_path / "out")]
    assert cli.main(NAMES, "", asked) == 1
    assert capsys.readouterr().err.count("\n") == 1

"""Actors that die, hang or fault are replaced, and what they died of costs its own row."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import pytest
from kills.dying import DyingAskUnits, DyingJudge, DyingSample
from kills.small_run import LIMIT_S, PROMPTS, TASK, generated, run_of
from reward_benchmarks.native_answers import write_vl_rewardbench

from urm_ray import store
from urm_ray.config_benchmarks import BenchmarkConfig
from urm_ray.config_file import build_as
from urm_ray.pipeline import evaluate_benchmarks, generate_pairs
from urm_ray.pipeline.run import execute
from urm_ray.run_folder import RunFolder
from urm_ray.store import StoreError

pytestmark = pytest.mark.local

TWICE = "failed 2 times, at last because "
DIED = TWICE + "its process ended"
HUNG = TWICE + "it took longer than 3 s"
FAULT = TWICE + "RuntimeError: CUDA error"
FAILED = TWICE + "ValueError: it cannot be done"
JUDGE = {"the judge dies": DIED, "the judge hangs": HUNG, "the judge faults": FAULT, "the judge fails": FAILED}
SAMPLER = {"the sampler dies": DIED, "the sampler fails": FAILED, "the sampler hangs": TWICE}
ONCE = ("the judge dies once", "the judge faults once", "the sampler dies once", "the sampler faults once")


def test_rows_that_end_block_or_break_their_actor_are_quarantined_and_no_other_row_changes(
    ray_here: None, tmp_path: Path
) -> None:
    poison = {3: "the judge dies", 5: "the judge hangs", 6: "the judge faults", 9: "the judge fails"}
    poison |= {1: "the sampler dies", 7: "the sampler fails", 10: "the sampler hangs"}
    prompts = [poison.get(n, prompt) for n, prompt in enumerate(PROMPTS)]
    whole, stage = generated(tmp_path / "whole", PROMPTS), generated(tmp_path / "poisoned", prompts)
    good = {row["prompt_id"]: row for row in whole.rows("judged").to_pylist()}
    found = {row["prompt_id"]: row for row in stage.rows("judged").to_pylist()}
    assert found.keys() == good.keys()
    for number in range(len(PROMPTS)):
        row = found[f"p{number:02d}"]
        said = poison.get(number)
        if said is None:
            assert row == good[row["prompt_id"]]
        elif "sampler" in said:
            assert all(c["media"] is None and SAMPLER[said] in c["error"] for c in row["candidates"])
        else:
            assert row["candidates"] == good[row["prompt_id"]]["candidates"]
            verdicts = [*row["pair_verdicts"], *row["point_verdicts"]]
            assert {v["outcome"] for v in verdicts} == {"unparsed"}
            assert all(JUDGE[said] in v["reason"] for v in verdicts)
    listed: dict[str, str] = {}
    for file in stage.units("quarantine/judged"):
        listed |= {row["row_id"]: row["reason"] for row in store.read_table(file).to_pylist()}
    assert set(listed) == {f"p{number:02d}" for number in poison}
    assert sum(stage.manifest()["quarantined"].values()) >= len(poison)


def test_what_an_actor_dies_of_by_chance_is_done_by_the_next_and_nothing_differs(
    ray_here: None, tmp_path: Path
) -> None:
    prompts = list(PROMPTS)
    for place, words in zip((0, 3, 5, 10), ONCE, strict=True):
        prompts[place] = words
    stage = generated(tmp_path / "dying", prompts)
    # The same prompts with all that they want done before.
    again = tmp_path / "again"
    (again / "once").mkdir(parents=True)
    for file in (tmp_path / "dying" / "once").iterdir():
        (again / "once" / file.name).touch()
    run = run_of(again / "run", prompts)
    with (
        patch.object(generate_pairs, "Sample", type("Sample", (DyingSample,), {"once": again / "once"})),
        patch.object(generate_pairs, "Judge", type("Judge", (DyingJudge,), {"once": again / "once"})),
    ):
        whole = run.stage("generate", TASK)
        execute(run, whole, lambda run, stage: generate_pairs.generate(run, stage, TASK))
    assert len(list((again / "once").iterdir())) == len(ONCE), "not every actor met what was to end it"
    files = [[Path(file).read_bytes() for file in one.units("judged")] for one in (stage, whole)]
    assert files[0] == files[1]
    assert stage.manifest()["quarantined"] == {}


def test_a_judge_that_fails_at_every_row_stops_the_stage_and_says_of_what(ray_here: None, tmp_path: Path) -> None:
    from urm_ray.cli import root_cause

    with pytest.raises(Exception, match="rows were put aside") as stopped:
        generated(tmp_path, [f"the judge fails at {n}" for n in range(24)])
    cause = root_cause(stopped.value)
    assert isinstance(cause, StoreError)
    # One too many, or one more where the actor had begun another before it was stopped.
    assert re.search(r"1[123] of 24 rows were put aside", str(cause))
    assert "ValueError: it cannot be done" in str(cause)


def test_an_item_of_a_benchmark_that_ends_the_judge_costs_itself(ray_here: None, tmp_path: Path) -> None:
    write_vl_rewardbench(tmp_path / "vl")
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge/config.json").write_text("{}")
    settings = {
        "judges": {"ours": str(tmp_path / "judge")},
        "benchmarks": {"vl_rewardbench": str(tmp_path / "vl")},
        "judge": {"resamples": 100, "actors": {"actors": 1, "num_cpus": 0.3, "row_limit_s": LIMIT_S}},
        "unit_rows": 3,
    }
    with patch.object(evaluate_benchmarks, "AskUnits", DyingAskUnits):
        folder = RunFolder.open(str(tmp_path / "out"))
        found = evaluate_benchmarks.evaluate_benchmarks(build_as(BenchmarkConfig, settings), folder)[0]
    rows = {row["item_id"]: row for row in folder.stages()[0].rows("predictions").to_pylist()}
    assert found["items"]["asked"] == 10
    for name, row in rows.items():
        said = {(v["outcome"], v["reason"]) for v in row["pair_verdicts"]}
        if name.startswith("mathverse_2279:"):
            assert said == {("unparsed", f"judging {DIED}")}
        else:
            assert all(outcome in ("first", "second") for outcome, _ in said)

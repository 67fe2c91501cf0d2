"""Tasks and actors that die of one row where rows are read, scored and asked about: it costs that row alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from helpers import pair_preference, picture, point_preference
from kills.dying import DyingAskUnit, DyingJudge, DyingReadCandidates, DyingSample
from kills.small_run import LIMIT_S, POOL, PROMPTS, TASK, generated, run_of, settings_of

from urm_ray import schema, store
from urm_ray.pipeline import evaluate_judge, evaluate_policy, generate_pairs
from urm_ray.pipeline.prepare import prepare
from urm_ray.pipeline.run import Run, execute
from urm_ray.run_folder import Stage

pytestmark = [pytest.mark.local, pytest.mark.long]

TWICE = "failed 2 times, at last because "
DIED = TWICE + "its process ended"
HUNG = TWICE + f"it took longer than {2 * LIMIT_S:g} s"
FAILED = TWICE + "ValueError: it cannot be done"
Rows = dict[str, dict[str, Any]]


def with_words(words: dict[int, str]) -> list[str]:
    return [words.get(n, prompt) for n, prompt in enumerate(PROMPTS)]


def rows_of(stage: Stage, part: str, key: str = "prompt_id") -> Rows:
    return {row[key]: row for row in stage.rows(part).to_pylist()}


def put_aside(stage: Stage, part: str) -> list[dict[str, Any]]:
    return [row for file in stage.units(f"quarantine/{part}") for row in store.read_table(file).to_pylist()]


def without(rows: Rows, *keys: str) -> Rows:
    return {key: row for key, row in rows.items() if key not in keys}


def prepared(folder: Path, prompts: list[str]) -> Stage:
    folder.mkdir()
    (folder / "prompts.txt").write_text("\n".join(prompts))
    source = {"prompts": "kills.dying:DyingPrompts", "prompts_path": str(folder / "prompts.txt")}
    sizes = {"train_prompts": len(prompts), "heldout_prompts": 0, "unit_rows": 4, "cpus": 0.5}
    run = Run(settings_of(folder / "run", prepare=source | sizes))
    stage = run.stage("prepare", TASK)
    execute(run, stage, lambda run, stage: prepare(run, stage, TASK))
    return stage


def test_prompts_that_kill_or_break_their_reader_are_put_aside(ray_here: None, tmp_path: Path) -> None:
    good = rows_of(prepared(tmp_path / "whole", PROMPTS), "train_prompts", "prompt")
    stage = prepared(tmp_path / "poisoned", with_words({3: "the reader dies", 8: "the reader fails"}))
    # Where a row came from is told by its file, which is another.
    lasting = ("prompt_id", "task", "prompt", "context")
    kept = [{name: row[name] for name in lasting} for row in rows_of(stage, "train_prompts", "prompt").values()]
    wanted = [{name: row[name] for name in lasting} for row in without(good, PROMPTS[3], PROMPTS[8]).values()]
    assert sorted(kept, key=lambda row: row["prompt"]) == sorted(wanted, key=lambda row: row["prompt"])
    reasons = sorted(row["reason"] for row in put_aside(stage, "train_prompts"))
    assert reasons == sorted([f"preparing {DIED}", f"preparing {FAILED}"])
    assert stage.manifest()["quarantined"] == {"train_prompts": 2}


def test_a_picture_that_kills_its_reader_costs_its_prompt_alone(ray_here: None, tmp_path: Path) -> None:
    deadly = "the decoder dies.png"
    for number in range(24):
        picture(10 + 10 * number).save(tmp_path / f"{number}.png")
    picture(77).save(tmp_path / deadly)
    lines = [
        {"prompt_id": f"p{n:02d}", "prompt": prompt, "candidates": [f"{2 * n}.png", f"{2 * n + 1}.png"]}
        for n, prompt in enumerate(PROMPTS)
    ]
    lines[5]["candidates"] = ["10.png", deadly]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    there = {"candidates_path": str(file)}
    whole = generated(tmp_path / "whole", PROMPTS, there)
    with patch.object(generate_pairs, "ReadCandidates", DyingReadCandidates):
        stage = generated(tmp_path / "poisoned", PROMPTS, there)
    found = rows_of(stage, "judged")
    assert without(found, "p05") == without(rows_of(whole, "judged"), "p05")
    reason = f"reading candidates {DIED}"
    assert [(c["media"], c["error"]) for c in found["p05"]["candidates"]] == [(None, reason)] * 2
    listed = put_aside(stage, "judged")
    assert {row["row_id"] for row in listed} == {"p05"}
    assert [row["detail"] for row in listed if row["reason"] == reason][:2] == ["candidate 0", "candidate 1"]
    assert stage.manifest()["quarantined"][reason] >= 2
    assert whole.manifest()["quarantined"] == {}


def measured(run: Run, once: Path, *names: str) -> list[Stage]:
    """The stages of a run that measure its policy."""
    functions = {"baseline": evaluate_policy.baseline, "evaluate": evaluate_policy.evaluate_policy}
    stages = [run.stage(name, TASK) for name in names]
    with (
        patch.object(evaluate_policy, "Sample", type("Sample", (DyingSample,), {"once": once})),
        patch.object(evaluate_policy, "Judge", type("Judge", (DyingJudge,), {"once": once})),
    ):
        for name, stage in zip(names, stages, strict=True):
            execute(run, stage, lambda run, stage, name=name: functions[name](run, stage, TASK))  # type: ignore[misc]
    return stages


def test_prompts_that_kill_or_block_the_scorer_are_put_aside_and_keep_the_rest(ray_here: None, tmp_path: Path) -> None:
    evaluate = {"scorer": "kills.dying:DyingScorer", "headline": "shade", "unit_rows": 4, "resamples": 100}
    # A task has to load what it needs before its first row, so that it gets more time than an actor.
    pools = {"sampler_pool": POOL, "judge_pool": POOL, "scorer_pool": POOL | {"row_limit_s": 2 * LIMIT_S}}
    policy = {"evaluate": evaluate | pools}
    (whole,) = measured(run_of(tmp_path / "whole", PROMPTS, policy), tmp_path, "baseline")
    run = run_of(tmp_path / "poisoned", with_words({2: "the scorer dies", 9: "the scorer hangs"}), policy)
    run.stage("dpo", TASK).finish(0.0)
    before, after = measured(run, tmp_path, "baseline", "evaluate")
    good, reasons = rows_of(whole, "before"), {"p02": f"scoring {DIED}", "p09": f"scoring {HUNG}"}
    assert {row["unscored"] for row in good.values()} == {None}
    for stage, part in ((before, "before"), (after, "after")):
        found = rows_of(stage, part)
        assert found.keys() == good.keys()
        for name, row in found.items():
            lost = {"figures": [], "unscored": reasons[name]} if name in reasons else {}
            assert row == good[name] | {"prompt": row["prompt"], "sampler_digest": row["sampler_digest"]} | lost
        listed = {(row["row_id"], row["reason"], row["detail"]) for row in put_aside(stage, part)}
        assert listed == {(name, reason, "scorer") for name, reason in reasons.items()}
        assert stage.manifest()["quarantined"] == dict.fromkeys(reasons.values(), 1)
        assert stage.manifest()["unscored"] == 2
    assert after.manifest()["figures"]["all"]["shade"]["gain"]["n"] == len(PROMPTS) - 2


def asked(folder: Path, prompts: list[str]) -> Stage:
    """The stage of a run that measures the judge which it trained, on pairs and points by turns, in two units."""
    run = Run(
        settings_of(
            folder, judge_base={"path": "urm_ray.scenes:checkpoints/vlm"}, judge={"actors": POOL, "resamples": 100}
        )
    )
    stage = run.stage("prepare", TASK)
    rows = [(point_preference if n % 2 else pair_preference)(n, prompt=prompt) for n, prompt in enumerate(prompts)]
    for unit in range(2):
        place = stage.path("heldout_pairs", f"unit-{unit:06d}.parquet")
        store.write_table(place, schema.table_of(rows[6 * unit :][:6], schema.PREFERENCE))
    stage.finish(0.0)
    run.stage("reward").finish(0.0)
    judged = run.stage("judge")
    with patch.object(evaluate_judge, "AskUnit", DyingAskUnit):
        execute(run, judged, evaluate_judge.evaluate_judge)
    return judged


def test_preferences_that_kill_or_break_the_judge_are_put_aside(ray_here: None, tmp_path: Path) -> None:
    whole = asked(tmp_path / "whole", PROMPTS)
    stage = asked(tmp_path / "poisoned", with_words({4: "the judge dies", 7: "the judge fails"}))
    listed = {
        ("pair4", f"asking about {DIED}", "pair verdict 0 over 1"),
        ("pair4", f"asking about {DIED}", "pair verdict 1 over 0"),
        ("point7", f"asking about {FAILED}", "point verdict 0"),
    }
    for part in ("judge", "base"):
        found = rows_of(stage, part, "preference_id")
        assert without(found, "pair4", "point7") == without(rows_of(whole, part, "preference_id"), "pair4", "point7")
        assert {(row["row_id"], row["reason"], row["detail"]) for row in put_aside(stage, part)} == listed
        counts = {f"asking about {DIED}": 2, f"asking about {FAILED}": 1}
        assert stage.manifest()["quarantined"][part] == counts
    assert whole.manifest()["quarantined"] == {"judge": {}, "base": {}}

"""The whole loop in its smallest size through the command line, a second time, and what is left behind."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from local.smoke import OTHER, OWN, TASK, TASKS, job

from urm_ray import schema
from urm_ray.pipeline.mix_report import NOTED, point_scales

pytestmark = pytest.mark.local

STAGES = [
    *(f"prepare-{task}" for task in TASKS),
    "reward",
    "judge",
    *(f"{stage}-{task}" for task in TASKS for stage in ("generate", "pairs", "dpo", "baseline", "evaluate")),
    "report",
]


@pytest.fixture(scope="module")
def run(smoke_run: Path) -> Path:
    return smoke_run


def folder_of(run: Path, stage: str) -> Path:
    found = list(run.glob(f"{stage}-*"))
    assert len(found) == 1
    return found[0]


def test_every_stage_leaves_a_manifest(run: Path) -> None:
    for stage in STAGES:
        manifest = json.loads((folder_of(run, stage) / "manifest.json").read_text())
        assert manifest["stage"] == stage
        assert manifest["seconds"] > 0


def test_report_json_holds_the_agreed_figures(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    task = report["tasks"]["image_generation"]
    for figure in (
        task["judge"]["pair_accuracy"],
        task["judge"]["base_pair_accuracy"],
        task["judge"]["point_spearman"],
        task["pairs"]["order_agreement"],
        task["policy"]["before"],
        task["policy"]["after"],
        task["policy"]["gain"],
    ):
        assert set(figure) == {"value", "ci95", "n"}
        assert len(figure["ci95"]) == 2
    assert task["pairs"]["prompts"] == 6
    assert task["pairs"]["kept"] + sum(task["pairs"]["dropped"].values()) == 6
    assert task["policy"]["before"]["n"] == task["policy"]["after"]["n"] == 6
    gain = task["policy"]["after"]["value"] - task["policy"]["before"]["value"]
    assert task["policy"]["gain"]["value"] == pytest.approx(gain, abs=1e-5)
    assert report["mix"] == json.loads((folder_of(run, "reward") / "mix.json").read_text())
    groups = {(group["task"], group["kind"]): group["rows"] for group in report["mix"]["groups"]}
    assert groups == {(task, kind): 60 for task in TASKS for kind in ("pair", "point")}
    noted = json.loads((folder_of(run, "reward") / "model" / NOTED).read_text())
    assert noted == point_scales(report["mix"])
    assert set(noted) == set(TASKS)
    assert set(report["seconds"]["stages"]) == set(STAGES) - {"report"}
    assert report["seconds"]["total"] == pytest.approx(sum(report["seconds"]["stages"].values()), abs=0.01)
    assert "<html" in (run / "report.html").read_text()


def test_rows_have_exactly_the_schema_and_carry_every_verdict(run: Path) -> None:
    rows: dict[str, list[dict[str, Any]]] = {}
    for stage, part, of in (("generate", "judged", schema.JUDGED_SET), ("pairs", "sifted", schema.SIFTED_SET)):
        folder = folder_of(run, f"{stage}-{TASK}") / part
        for file in sorted(folder.glob("unit-*.parquet")):
            assert pq.read_schema(file).remove_metadata().equals(of)
            rows.setdefault(part, []).extend(pq.read_table(file).to_pylist())
        assert not (folder / "fragments").is_dir() or not list((folder / "fragments").rglob("*.parquet"))
    assert [row["prompt_id"] for row in rows["judged"]] == [row["prompt_id"] for row in rows["sifted"]]
    assert len(rows["judged"]) == 6
    for judged, row in zip(rows["judged"], rows["sifted"], strict=True):
        asked = [(v["first"], v["second"]) for v in row["pair_verdicts"]]
        assert asked == [(0, 1), (1, 0), (2, 3), (3, 2)]
        assert [v["index"] for v in row["point_verdicts"]] == [0, 1, 2, 3]
        assert row["pair_verdicts"] == judged["pair_verdicts"]
        assert all(c["media"]["data"].startswith(b"\x89PNG") for c in judged["candidates"])
        if row["dropped"] is None:
            assert row["chosen_score"] > row["rejected_score"]
            assert {row[side]["index"] for side in ("chosen", "rejected")} <= {0, 1, 2, 3}
            assert row["chosen"] == judged["candidates"][row["chosen"]["index"]]


def test_resolved_config_names_versions_seed_and_digests(run: Path) -> None:
    resolved = yaml.safe_load((run / "config.yaml").read_text())
    assert resolved["config"]["run"]["seed"] == 0
    assert resolved["packages"]["ray"]
    for stage in STAGES:
        assert resolved["digests"][stage].startswith(folder_of(run, stage).name.removeprefix(f"{stage}-"))


def test_a_second_run_finds_everything_done(run: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*.parquet")}
    started = time.monotonic()
    done = job("pipeline", run)
    assert done.returncode == 0
    assert done.stdout.count("done before") == len(STAGES)
    assert time.monotonic() - started < 60
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*.parquet")}


def test_plan_prints_the_stages_and_does_nothing(run: Path) -> None:
    done = job("pipeline", run, "--plan", "--set", f"{OWN}.dpo.steps=7")
    assert done.returncode == 0
    stages, needs = done.stdout.split("\n\n", 1)
    lines = {line.split()[0]: line for line in stages.splitlines()}
    assert list(lines) == STAGES
    assert needs.startswith("Plan for 8 x H100-80GB")
    assert f"Memory of {OWN}.dpo" in needs
    assert " done " in lines[f"generate-{TASK}"]
    assert " done " in lines[f"pairs-{TASK}"]
    assert " to do " in lines[f"dpo-{TASK}"]
    assert len(list(run.glob(f"dpo-{TASK}-*"))) == 1


def test_other_pairs_are_made_of_verdicts_that_are_there(run: Path, tmp_path: Path) -> None:
    """A setting of sifting judges nothing again, and as many pairs are kept as were asked for."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("pairs-*", "dpo-*", "evaluate-*", "report*"))
    done = job("generate_pairs", copy, "--set", "pairs.construction=point", "--set", "pairs.keep=3")
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"== generate-{TASK}: done before" in done.stdout
    counts = json.loads((folder_of(copy, f"pairs-{TASK}") / "manifest.json").read_text())["audit"]
    assert counts["kept"] == counts["dropped"]["surplus"] == 3


def test_a_job_refuses_to_run_before_the_one_it_reads_from(tmp_path: Path) -> None:
    done = job("train_dpo", tmp_path / "empty")
    assert done.returncode == 1
    assert f"stage pairs-{TASK} is not done" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_and_two_actors_give_the_same_bytes(run: Path, tmp_path: Path) -> None:
    """The same stage again in another folder, with two actors in each pool."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns(f"*-{TASK}-*", "report*"))
    shutil.copytree(folder_of(run, f"prepare-{TASK}"), copy / folder_of(run, f"prepare-{TASK}").name)
    two = "{actors: 2, num_cpus: 0.4}"
    pools = [f"{OWN}.generate.{name}_pool={two}" for name in ("sampler", "judge")]
    done = job("generate_pairs", copy, "--set", pools[0], "--set", pools[1])
    assert done.returncode == 0, done.stderr[-3000:]
    for part in ("judged", "sifted"):
        stage = {"judged": "generate", "sifted": "pairs"}[part]
        ours, theirs = (folder_of(r, f"{stage}-{TASK}") / part for r in (run, copy))
        names = sorted(p.name for p in ours.glob("*.parquet"))
        assert names == sorted(p.name for p in theirs.glob("*.parquet"))
        for name in names:
            assert (ours / name).read_bytes() == (theirs / name).read_bytes()


def each_has_its_part(run: Path, tasks: tuple[str, ...], steps: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    """Checks what a run made for each task with a judge trained on all; returns the judged rows."""
    report = json.loads((run / "report.json").read_text())
    assert tuple(report["tasks"]) == tasks
    for task in tasks:
        figures = report["tasks"][task]
        assert 0 < figures["policy"]["gain"]["n"] <= figures["policy"]["all"]["usable"]["gain"]["n"] == 6
        assert figures["judge"]["pair_accuracy"]["n"] > 0
        assert figures["training"]["dpo"]["steps"] == steps[task]
        history = json.loads((folder_of(run, f"dpo-{task}") / "history.json").read_text())
        assert history[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    judged = {t: pq.read_table(folder_of(run, f"generate-{t}") / "judged").to_pylist() for t in tasks}
    page = (run / "report.html").read_text()
    for task in tasks:
        assert any(row["prompt"].splitlines()[0] in page for row in judged[task])
    return judged


def answers_are_about(rows: list[dict[str, Any]], magic: bytes) -> None:
    assert all(c["text"] or c["error"] for row in rows for c in row["candidates"])
    assert all(magic in row["context"][0]["data"][:12] for row in rows)


def test_one_judge_serves_several_tasks(run: Path) -> None:
    judged = each_has_its_part(run, TASKS, {TASK: 8, OTHER: 6})
    answers_are_about(judged[OTHER], b"ftyp")


@pytest.mark.long
def test_clips_are_made_and_pictures_asked_about_in_one_run(tmp_path: Path) -> None:
    tasks = ("image_understanding", "video_generation")
    run = tmp_path / "run"
    done = job("pipeline", run, "--set", f"tasks=[{', '.join(tasks)}]")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    judged = each_has_its_part(run, tasks, dict.fromkeys(tasks, 6))
    answers_are_about(judged["image_understanding"], b"\x89PNG")
    clips = [c["media"] for row in judged["video_generation"] for c in row["candidates"]]
    assert {(clip["kind"], clip["frames"]) for clip in clips} == {("video", 8)}
    # Of clips the preferences hold no score on the protocol's own scale, 1-10.
    assert {row["scale"]["name"] for row in judged["video_generation"]} == {"1-4"}

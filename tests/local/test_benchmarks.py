"""A judge on benchmarks through the command line, again, and measured again without it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import run_python
from reward_benchmarks.native_answers import write_mmrb2, write_sharegptvideo, write_vl_rewardbench
from reward_benchmarks.native_generation import write_genai_images

pytestmark = pytest.mark.local

WRITERS = {
    "vl_rewardbench": write_vl_rewardbench,
    "genai_bench_image": write_genai_images,
    "mmrb2": write_mmrb2,
    "sharegptvideo": write_sharegptvideo,
}


def evaluate(*arguments: str) -> str:
    done = run_python("jobs/evaluate_judge.py", *arguments)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_a_judge_on_four_benchmarks(tmp_path: Path, vlm_path: str) -> None:
    judge = tmp_path / "judge"
    shutil.copytree(vlm_path, judge)
    for name, write in WRITERS.items():
        write(tmp_path / name)
    out = tmp_path / "out"
    asked = ["--judge", f"tiny={judge}", "--out", str(out), "--resamples", "200", "--batch", "16"]
    asked += [text for name in WRITERS for text in ("--benchmark", f"{name}={tmp_path / name}")]
    asked += ["--set", "min_mass=0", "--set", "clips.count=2", "--points"]

    said = evaluate(*asked)
    assert "[benchmarks: tiny] 13/13 units, " in said
    assert said.count("| tiny") == 8  # a row in each table, and one in that of how it answered
    saved = json.loads((out / "results.json").read_text())["results"]
    assert {found["benchmark"]: found["items"]["asked"] for found in saved} == {
        "genai_bench_image": 4,
        "mmrb2": 7,
        "sharegptvideo": 2,
        "vl_rewardbench": 10,
    }
    for found in saved:
        assert found["figures"]["verdicts"]["media_error"] == 0
        rows = [row for file in sorted((out / found["folder"] / "predictions").iterdir()) for row in rows_of(file)]
        assert all(
            verdict["p_first"] + verdict["p_second"] + verdict["p_tie"] == pytest.approx(1, abs=1e-5)
            for row in rows
            for verdict in row["pair_verdicts"]
        )
    assert any(found["figures"]["scores"] for found in saved)

    before = (out / "results.json").read_bytes()
    assert "[benchmarks: tiny]" not in evaluate(*asked)  # nothing is asked twice
    shutil.rmtree(judge)
    (out / "results.json").unlink()
    evaluate("--recompute", "--out", str(out), "--resamples", "200")
    assert (out / "results.json").read_bytes() == before


def rows_of(file: Path) -> list[dict]:
    return pq.read_table(file).to_pylist()

"""The experiments in their smallest size through the command line: variants share stages, and tables come out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from local.smoke import ROOT

pytestmark = [pytest.mark.local, pytest.mark.long, pytest.mark.timeout(1800)]

SETTINGS = (
    "tasks=[image_generation, image_understanding]",
    "experiments.seeds=1",
    "experiments.pairs=4",
    "reward.steps=4",
    "policies.image_generation.dpo.steps=4",
)


def experiments(folder: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "jobs/experiments.py", "--config", "jobs/configs/smoke.yaml"]
    command += [part for setting in (f"run.dir={folder}", *SETTINGS) for part in ("--set", setting)]
    return subprocess.run([*command, *extra], cwd=ROOT, capture_output=True, text=True, timeout=1500)


def test_every_experiment_runs_shares_what_it_can_and_leaves_its_table(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = experiments(run, "--only", "1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert [e["number"] for e in json.loads((run / "experiments.json").read_text())["experiments"]] == [1]

    done = experiments(run)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = {e["number"]: e["findings"] for e in json.loads((run / "experiments.json").read_text())["experiments"]}
    assert list(found) == [1, 2, 3, 4]
    assert all({"variant", "figure", "value", "ci95", "n", "paper"} == set(f) for one in found.values() for f in one)
    gains = [f for f in found[2] if f["figure"] == "gain, all seeds"]
    assert [f["n"] for f in gains] == [6, 6, 6, 6]
    for name, folders in {"reward": 3, "judge": 3, "generate": 2, "pairs": 8, "dpo": 6, "baseline": 2}.items():
        assert len(list(run.glob(f"{name}-*/manifest.json"))) == folders, name
    text = (run / "experiments.md").read_text()
    assert all(f"**{n}. " in text for n in found)

    files = {p: p.stat().st_mtime_ns for p in run.rglob("*.parquet")}
    done = experiments(run)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*.parquet")} == files
    assert (run / "experiments.md").read_text() == text

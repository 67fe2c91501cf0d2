"""The loop on an object store that fails now and then gives the bytes of a loop in a local folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kills.test_matrix import content, facts, folder_of, losses
from local.smoke import ROOT, SETTINGS, TASK
from object_server import KEYS, ObjectServer, by_chance, object_server

from urm_ray import store
from urm_ray.local_copies import upload_dir
from urm_ray.run_folder import RunFolder

pytestmark = [pytest.mark.local, pytest.mark.long]

FAULTY = 0.03
"""Of all requests."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ObjectServer]:
    for name, value in {**KEYS, "URM_RAY_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    with object_server() as server:
        server.stall_s = 1.0
        yield server


def stages(server: ObjectServer, run: str, names: list[str], timeout: float = 580) -> str:
    """Runs stages of the smoke run in a folder of the bucket, and returns what they printed."""
    settings = {"run.dir": run, **SETTINGS}
    assignments = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    code = "import sys; from urm_ray.cli import main; sys.exit(main(sys.argv[1].split(','), argv=sys.argv[2:]))"
    command = [sys.executable, "-c", code, ",".join(names), "--config", "jobs/configs/smoke.yaml", *assignments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-5000:]
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in said
    return said


def downloaded(run: str, to: Path) -> Path:
    """A local copy of a run, of all files but those whose names begin with a dot."""
    for file in store.tree(run):
        place = to / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(store.read_bytes(store.join(run, file.name)))
    return to


def equal(stage: str, ours: Path, theirs: Path) -> None:
    one, two = folder_of(ours, stage), folder_of(theirs, stage)
    assert one.name == two.name, "a stage's digest does not tell where it lies"
    assert content(one) == content(two)
    assert facts(one) == facts(two)


def test_pairs_and_a_training_on_a_store_that_fails_now_and_then_are_those_of_a_local_run(
    server: ObjectServer, smoke_run: Path, tmp_path: Path
) -> None:
    run = server.uri("runs", "smoke", request_timeout=4)
    reward = folder_of(smoke_run, "reward")
    upload_dir(str(reward), store.join(run, reward.name))  # a training that was done elsewhere: its model is loaded
    server.fault = by_chance(0, FAULTY)
    said = stages(server, run, ["prepare", "generate", "pairs", "dpo"])
    assert set(server.done) == {"500", "503", "reset", "cut", "stall"}, "every kind of fault was met"
    server.fault = lambda method, path: None
    assert f"== dpo-{TASK}: done in" in said
    ours = downloaded(run, tmp_path / "run")
    for stage in (f"prepare-{TASK}", f"generate-{TASK}", f"pairs-{TASK}", f"dpo-{TASK}"):
        equal(stage, smoke_run, ours)
    dpo = folder_of(ours, f"dpo-{TASK}")
    assert losses(folder_of(smoke_run, dpo.name.rpartition("-")[0])) == pytest.approx(losses(dpo), rel=1e-5)
    assert any("checkpoint" in path for method, path in server.asked if method in ("PUT", "POST"))
    _no_secrets(ours)


def test_the_whole_loop_on_a_store_that_fails_now_and_then_is_that_of_a_local_run(
    server: ObjectServer, smoke_run: Path, tmp_path: Path
) -> None:
    run = server.uri("runs", "smoke", request_timeout=4)
    names = ["prepare", "reward", "judge", "generate", "pairs", "dpo", "baseline", "evaluate", "report"]
    server.fault = by_chance(1, FAULTY)
    stages(server, run, names, timeout=1500)
    server.fault = lambda method, path: None
    ours = downloaded(run, tmp_path / "run")
    done = [stage.name for stage in RunFolder.open(str(smoke_run)).stages()]
    for stage in done:
        if stage != "report":
            equal(stage, smoke_run, ours)
    mine, theirs = (_figures(json.loads((folder / "report.json").read_text())) for folder in (ours, smoke_run))
    assert mine == theirs
    assert "<html" in (ours / "report.html").read_text()
    again = stages(server, run, names)
    assert again.count("done before") == len(done)
    _no_secrets(ours)


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    """What of a report does not tell the time."""
    known = ("judge", "pairs", "policy")
    return {task: {name: told[name] for name in known} for task, told in report["tasks"].items()}


def _no_secrets(run: Path) -> None:
    for file in run.rglob("*"):
        if file.is_file():
            assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in file.read_bytes()

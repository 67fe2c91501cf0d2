"""Jobs run unchanged under `ray job submit` against a cluster of two nodes; what ends, and how, is told truly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local.nodes import ray, submit, two_nodes

pytestmark = pytest.mark.local

PREPARE = ["python", "jobs/prepare_data.py", "--config", "jobs/configs/smoke.yaml"]
SETTINGS = ["prepare.unit_rows=10", "prepare.train_pairs=150"]
LINES = 2000
TALK = f"""
import os, sys, ray
names = ("TOKENIZERS_PARALLELISM", "HF_HUB_DISABLE_TELEMETRY", "OF_THE_USER")
seen = lambda: [os.environ.get(name) for name in names] + [os.path.isfile("jobs/pipeline.py")]
ray.init(log_to_driver=True)
print("driver", seen(), sorted(os.listdir(".")))
print("worker", ray.get(ray.remote(num_cpus=1, label_selector={{"ray.io/market-type": "spot"}})(seen).remote()))
for number in range({LINES}):
    print("line", number, file=sys.stderr if number % 2 else sys.stdout)
sys.exit(7)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with two_nodes(tmp_path_factory.mktemp("cluster"), 6391) as env:
        yield env


@pytest.fixture(scope="module")
def prepared(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that a submitted job prepared."""
    run = tmp_path_factory.mktemp("prepared") / "run"
    done = submit(cluster, *prepare(run))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "== prepare-image_generation: done in" in done.stdout
    assert "succeeded" in done.stdout
    return run


def prepare(run: Path) -> list[str]:
    return [*PREPARE, *(word for setting in [*SETTINGS, f"run.dir={run}"] for word in ("--set", setting))]


def content(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.glob("prepare-*/**/*.parquet")}


def test_a_job_runs_on_a_running_cluster_and_one_that_cannot_says_why(cluster: dict[str, str], prepared: Path) -> None:
    assert list(prepared.glob("prepare-*/manifest.json"))
    refused = submit(cluster, "python", "jobs/train_dpo.py", *prepare(prepared)[2:])
    assert refused.returncode != 0
    assert "stage pairs-image_generation is not done" in refused.stdout + refused.stderr


def test_settings_of_the_environment_arrive_everywhere_and_no_line_is_lost(cluster: dict[str, str]) -> None:
    done = submit(cluster | {"OF_THE_USER": "stays here"}, "python", "-c", TALK)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said[-3000:]
    assert "driver ['false', '1', None, True]" in said, said[-3000:]
    assert "worker ['false', '1', None, True]" in said
    assert "'jobs', 'pyproject.toml', 'urm_ray']" in said
    assert "'tests'" not in said
    assert [number for number in range(LINES) if f"line {number}\n" not in said] == []


@pytest.mark.long
def test_a_job_that_is_stopped_lets_go_of_its_run_and_goes_on_when_it_is_submitted_again(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    # So many units, one at a time, that it is still at work when it is stopped seconds later.
    larger = ["--set", "prepare.train_pairs=1500", "--set", "prepare.cpus=2"]
    started = submit(cluster, *prepare(run), *larger, options=("--no-wait", "--submission-id", "to-be-stopped"))
    assert started.returncode == 0, started.stdout + started.stderr
    for _ in range(600):
        if content(run):
            break
        time.sleep(0.1)
    stopped = ray(cluster, "job", "stop", "to-be-stopped")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "was stopped" in (told := ray(cluster, "job", "status", "to-be-stopped")).stdout + told.stderr
    before = {file: (run / file).stat().st_mtime_ns for file in content(run)}
    assert "the same command goes on from here" in ray(cluster, "job", "logs", "to-be-stopped").stdout
    assert not (run / ".lock").exists()
    assert not [path for path in run.rglob(".*") if path.is_file()]
    for folder in (run, whole):
        done = submit(cluster, *prepare(folder), *larger)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert 0 < len(before) < len(content(whole))
    assert content(run) == content(whole)
    assert {file: (run / file).stat().st_mtime_ns for file in before} == before

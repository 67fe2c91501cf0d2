"""Jobs run unchanged under `ray job submit` against a cluster that was started with `ray start --head`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.local

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).parent / "ray")
PORT, DASHBOARD = "6391", "8391"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A head node with token authentication, as Ray has it by default; gives the environment of its users."""
    home = tmp_path_factory.mktemp("cluster")
    token = home / "token"
    token.write_text("0123456789abcdef" * 4)
    env = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PATH": f"{Path(RAY).parent}:{os.environ['PATH']}",
    }
    env.pop("RAY_ADDRESS", None)
    start = [
        RAY,
        "start",
        "--head",
        f"--port={PORT}",
        f"--dashboard-port={DASHBOARD}",
        "--num-cpus=2",
        f"--temp-dir={home}/r",
    ]
    done = subprocess.run(start, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    yield {**env, "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{DASHBOARD}"}
    subprocess.run([RAY, "stop", "--force"], env=env, capture_output=True, timeout=60)


def submit(env: dict[str, str], *entrypoint: str) -> subprocess.CompletedProcess[str]:
    command = [
        RAY,
        "job",
        "submit",
        "--working-dir",
        str(ROOT),
        "--runtime-env",
        "cluster/runtime_env.yaml",
        "--",
        *entrypoint,
    ]
    for _ in range(30):
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400)
        if "No available agent to submit job" not in done.stderr:
            break
        time.sleep(2)  # the head is up before its job agent is, by long on a busy machine
    return done


def test_a_job_runs_on_a_running_cluster_and_tells_its_status(cluster: dict[str, str], tmp_path: Path) -> None:
    arguments = [
        "python",
        "jobs/prepare_data.py",
        "--config",
        "jobs/configs/smoke.yaml",
        "--set",
        f"run.dir={tmp_path}/run",
    ]
    done = submit(cluster, *arguments)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "== prepare-image_generation: done in" in done.stdout
    assert list((tmp_path / "run").glob("prepare-*/manifest.json"))
    refused = submit(cluster, "python", "jobs/train_dpo.py", *arguments[2:])
    assert refused.returncode != 0
    assert "stage pairs-image_generation is not done" in refused.stdout + refused.stderr

"""A cluster of two nodes on this machine, started as one of several machines is: by `cluster/start_node.sh`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RAY = str(Path(sys.executable).parent / "ray")
START = str(ROOT / "cluster/start_node.sh")


def environment(home: Path) -> dict[str, str]:
    """Of users of a cluster whose token lies in a folder."""
    token = home / "token"
    token.write_text("0123456789abcdef" * 4)
    env = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PATH": f"{Path(RAY).parent}:{os.environ['PATH']}",
    }
    env.pop("RAY_ADDRESS", None)
    return env


def node(env: dict[str, str], name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the script as on a machine with that name."""
    home = Path(env["RAY_AUTH_TOKEN_PATH"]).parent
    return subprocess.run(
        [START, *arguments],
        env=env | {"URM_RAY_NODE": str(home / name)},
        capture_output=True,
        text=True,
        timeout=150,
    )


@contextlib.contextmanager
def two_nodes(home: Path, port: int) -> Iterator[dict[str, str]]:
    """A head without CPUs, as in the cloud, and a worker with two; gives the environment of their users."""
    env = environment(home)
    shared = home / "shared"
    shared.mkdir()
    head = [
        f"--port={port}",
        f"--dashboard-port={port + 2000}",
        f"--dashboard-agent-listen-port={port + 3000}",
        f"--temp-dir={home}/r",
        "--num-cpus=0",
    ]
    worker = [f"--dashboard-agent-listen-port={port + 3001}", "--num-cpus=2", "--labels=ray.io/market-type=spot"]
    try:
        for name, arguments in (("head", head), ("worker", worker)):
            started = node(env, name, name, str(shared), *arguments)
            assert started.returncode == 0, started.stdout + started.stderr
        yield env | {"RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{port + 2000}"}
    finally:
        with ThreadPoolExecutor() as both:  # each takes its time
            list(both.map(lambda name: node(env, name, "stop"), ("worker", "head")))


def ray(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line of Ray, in the repository's root."""
    return subprocess.run([RAY, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=400)


def submit(env: dict[str, str], *entrypoint: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`ray job submit` as README.md has it."""
    given = ["--working-dir", ".", "--runtime-env", "cluster/runtime_env.yaml", *options, "--", *entrypoint]
    for _ in range(30):
        done = ray(env, "job", "submit", *given)
        if "No available agent to submit job" not in done.stderr:
            break
        time.sleep(2)  # the head is up before its job agent is, by long on a busy machine
    return done

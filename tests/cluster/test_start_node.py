"""What `cluster/start_node.sh` refuses, each with a sentence; starting nodes is tested where Ray is (tests/local)."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT

SCRIPT = ROOT / "cluster/start_node.sh"


@pytest.fixture
def run(tmp_path: Path):
    """The script on a machine with a token and a shared folder; gives its exit status and what it said."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef" * 4)
    (tmp_path / "shared").mkdir()
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "URM_RAY_NODE": str(tmp_path / "node"),
    }
    env.pop("RAY_AUTH_TOKEN", None)

    def of(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([SCRIPT, *arguments], env=env, capture_output=True, text=True, timeout=110)
        return done.returncode, done.stdout + done.stderr

    return of


def test_it_says_how_it_is_used(run):
    for wrong in ((), ("heads", "x")):
        status, said = run(*wrong)
        assert status == 2
        assert "cluster/start_node.sh worker /shared" in said
        assert "#" not in said.splitlines()[0]


@pytest.mark.parametrize("role", ["head", "worker"])
def test_a_folder_has_to_be_named_and_to_be_there(run, role, tmp_path):
    assert run(role) == (1, "error: name the folder that all machines share\n")
    status, said = run(role, str(tmp_path / "elsewhere"))
    assert status == 1
    assert "is no folder that" in said


def test_a_worker_without_the_token_is_told_to_fetch_it(run, tmp_path):
    (tmp_path / "token").unlink()
    status, said = run("worker", str(tmp_path / "shared"))
    assert status == 1
    assert said == f"error: there is no token in {tmp_path}/token: copy that of the head\n"


def test_a_folder_that_the_head_does_not_share_is_found(run, tmp_path):
    status, said = run("worker", str(tmp_path / "shared"))
    assert status == 1
    assert "start the head first, and mount its" in said


def test_a_head_that_is_gone_is_named(run, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "shared/.urm_ray_head").write_text(f"{address}\n")
    status, said = run("worker", str(tmp_path / "shared"))
    assert status == 1
    assert f"no head answers at {address}" in said


def test_a_machine_has_one_node(run, tmp_path):
    (tmp_path / "node").mkdir()
    with subprocess.Popen(["bash", "-c", "exec -a 'ray start --block' sleep 100"]) as node:
        (tmp_path / "node/pid").write_text(f"{node.pid}\n")
        wait_until_named(node.pid)
        assert run("head", str(tmp_path / "shared")) == (
            1,
            f"error: a node runs here already, process {node.pid}; stop it first\n",
        )
        assert run("stop") == (0, "the node has ended\n")
        assert node.wait(10) != 0
    assert not (tmp_path / "node/pid").exists()


def wait_until_named(process: int) -> None:
    while not Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray start"):
        time.sleep(0.02)


def test_nothing_else_is_ever_stopped(run, tmp_path):
    (tmp_path / "node").mkdir()
    for process in ("", f"{os.getpid()}\n"):
        (tmp_path / "node/pid").write_text(process)
        status, said = run("stop")
        assert status == 0
        assert "no node runs here" in said


def test_the_token_is_for_its_owner_alone(run, tmp_path):
    (tmp_path / "token").chmod(0o644)
    run("worker", str(tmp_path / "shared"))
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600

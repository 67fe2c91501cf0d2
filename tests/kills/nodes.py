"""A Ray cluster of several nodes on this machine, jobs on it, and the means to kill what runs there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240.0


class Nodes:
    """A head that runs nothing, and two nodes that do. A node that is removed is replaced, as an autoscaler would."""

    CPUS = 2

    def __init__(self, calls: Path) -> None:
        """calls: the file in which workers note what they sample and judge, slowly (`counted/sitecustomize.py`)."""
        os.environ["URM_RAY_CALLS"] = str(calls)
        os.environ["PYTHONPATH"] = f"{Path(__file__).parent / 'counted'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self.nodes = [self._add(), self._add()]

    def _add(self) -> Any:
        return self.cluster.add_node(num_cpus=self.CPUS)

    def start(self, arguments: list[str], output: Any = subprocess.PIPE) -> subprocess.Popen[Any]:
        """A driver on this cluster. arguments: what Python is given, such as a job and its own."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=output == subprocess.PIPE,
            env={**os.environ, "RAY_ADDRESS": self.cluster.address},
        )

    def workers(self, title: str) -> list[psutil.Process]:
        """Worker processes on the nodes whose title holds these words; a node's own agents are none, and end it."""
        found = [process for node in self.nodes for process in _raylet(node).children(recursive=True)]
        return [process for process in found if title in _title(process) and "Agent" not in _title(process)]

    def busiest(self) -> Any:
        """The node with most workers at work."""

        def at_work(node: Any) -> int:
            return sum("ray::" in title and "IDLE" not in title for title in _titles(node))

        return max(self.nodes, key=at_work)

    def remove(self, node: Any) -> None:
        """Ends a node with all that is on it, and adds another."""
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)
        self.nodes.append(self._add())

    def end(self) -> None:
        self.cluster.shutdown()
        del os.environ["URM_RAY_CALLS"]


def _raylet(node: Any) -> psutil.Process:
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def _title(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def _titles(node: Any) -> list[str]:
    return [_title(process) for process in _raylet(node).children(recursive=True)]


def until(found: Callable[[], Any], driver: subprocess.Popen[str], what: str) -> Any:
    """What a function finds as soon as it finds anything, while a driver is at work."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if result := found():
            return result
        if driver.poll() is not None:
            raise AssertionError(f"the driver ended before {what}:\n{driver.communicate()[0][-3000:]}")
        time.sleep(0.01)
    driver.kill()
    raise AssertionError(f"no {what} within {PATIENCE_S:g} s:\n{driver.communicate()[0][-3000:]}")


def ended(driver: subprocess.Popen[str]) -> str:
    """What a driver printed, once it has ended without an error."""
    try:
        printed, _ = driver.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        driver.kill()
        raise AssertionError(f"it does not end:\n{driver.communicate()[0][-3000:]}") from None
    assert driver.returncode == 0, printed[-4000:]
    return printed


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)

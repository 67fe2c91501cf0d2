"""On a cluster with an autoscaler, nodes come for what waits, and are given back when they are idle."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sizes.autoscaled import NODE_CPUS, Autoscaled, nodes_alive, until
from sizes.engines import generated, nodes_of, run_of

from urm_ray.pipeline.context import connect

pytestmark = [pytest.mark.local, pytest.mark.long]

LABELS = {"urm-ray/group": "sampler"}
MOST = 3


@pytest.fixture
def autoscaled(request: pytest.FixtureRequest) -> Iterator[Autoscaled]:
    """A cluster that may have as many nodes as the parameter says, MOST where there is none."""
    import ray

    tests = str(Path(__file__).resolve().parents[1])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
        cluster = Autoscaled(cpus=1, most=getattr(request, "param", MOST), labels=LABELS, idle_s=3.0)
        try:
            patched.setenv("RAY_ADDRESS", cluster.address)
            connect()
            yield cluster
        finally:
            ray.shutdown()
            cluster.end()


def test_nodes_come_for_the_actors_of_a_pool_and_go_when_they_are_done(
    autoscaled: Autoscaled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nodes_alive() == set()
    run = run_of(tmp_path / "run", 60, pools(actors=MOST))
    stage = generated(run, 1.0, 0.0)
    assert stage.manifest()["prompts"] == 60
    assert "it waits 600 s for one to come" in capsys.readouterr().err
    assert 1 < len(nodes_of(run, "sampler")) <= MOST
    until(lambda: not nodes_alive(), "nodes are kept though nothing runs on them")


def test_a_pool_that_may_grow_does_so_beyond_the_nodes_that_are_there(autoscaled: Autoscaled, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 60, pools(actors=1, max_actors=MOST))
    generated(run, 1.0, 0.0)
    assert 1 < len(nodes_of(run, "sampler")) <= MOST
    until(lambda: not nodes_alive(), "nodes are kept though nothing runs on them")


def test_a_pool_that_may_not_grow_brings_no_node_that_it_cannot_use(autoscaled: Autoscaled, tmp_path: Path) -> None:
    run, most = run_of(tmp_path / "run", 30, pools(actors=1)), set[str]()
    with watched(most):
        generated(run, 1.0, 0.0)
    assert most == nodes_of(run, "sampler")


@pytest.mark.parametrize("autoscaled", [1], indirect=True)
def test_a_pool_goes_on_with_the_nodes_it_has_where_no_more_can_come(autoscaled: Autoscaled, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", 30, pools(actors=1, max_actors=MOST))
    stage = generated(run, 1.0, 0.0)
    assert stage.manifest()["prompts"] == 30
    assert len(nodes_of(run, "sampler")) == 1
    until(lambda: not nodes_alive(), "the node is kept though nothing runs on it")


@contextmanager
def watched(seen: set[str]) -> Iterator[None]:
    """Adds the nodes that are there meanwhile."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            seen.update(nodes_alive())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def pools(**actors: int) -> dict[str, Any]:
    sampler = {**actors, "num_cpus": NODE_CPUS, "labels": LABELS}
    return {"unit_rows": 1, "sampler_pool": sampler, "judge_pool": {"actors": 1, "num_cpus": 0.1}}

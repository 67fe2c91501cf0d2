"""On a cluster with an autoscaler, pools grow while work waits, and nodes are given back when they are idle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sizes.autoscaled import Autoscaled, nodes_alive, until
from sizes.engines import generated, nodes_of, run_of

from urm_ray.pipeline.context import connect

pytestmark = [pytest.mark.local, pytest.mark.long]

LABELS = {"urm-ray/group": "sampler"}
MOST = 3


@pytest.fixture
def autoscaled() -> Iterator[Autoscaled]:
    import ray

    tests = str(Path(__file__).resolve().parents[1])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
        cluster = Autoscaled(cpus=2, most=MOST, labels=LABELS, idle_s=3.0)
        try:
            patched.setenv("RAY_ADDRESS", cluster.address)
            connect()
            yield cluster
        finally:
            ray.shutdown()
            cluster.end()


def test_nodes_come_while_work_waits_and_go_when_it_is_done(
    autoscaled: Autoscaled, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nodes_alive() == set()
    generate = {
        "unit_rows": 1,
        "sampler_pool": {"actors": 1, "max_actors": MOST, "num_cpus": 1, "labels": LABELS},
        "judge_pool": {"actors": 1, "num_cpus": 0.1},
    }
    run = run_of(tmp_path / "run", 60, generate)
    stage = generated(run, 1.0, 0.0)
    assert stage.manifest()["prompts"] == 60
    assert "it waits 600 s for one to come" in capsys.readouterr().err
    assert 1 < len(nodes_of(run, "sampler")) <= MOST
    until(lambda: not nodes_alive(), "nodes are kept though nothing runs on them")

"""A training whose node is lost and not replaced goes on with one worker, and its loss curve is the one of two."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from train.trainings import train_dpo, train_reward, train_vlm_dpo

from urm_ray.run_folder import Stage

pytestmark = [pytest.mark.train, pytest.mark.long]

STEPS = 12
LENGTH = {"steps": STEPS, "checkpoint_steps": 2, "num_cpus": 0.8}


class Nodes:
    """A head without CPUs, and a node for each of two workers."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(2)]

    def lose(self) -> None:
        """Ends a node with all that is on it at once, as a machine does that is switched off."""
        node = self.nodes.pop()
        on_it = psutil.Process(node.all_processes["raylet"][0].process.pid).children(recursive=True)
        for process in on_it:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.cluster.remove_node(node, allow_graceful=False)

    def fill(self) -> None:
        while len(self.nodes) < 2:
            self.nodes.append(self.cluster.add_node(num_cpus=1))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    import ray

    from urm_ray.pipeline.context import connect

    nodes = Nodes()
    try:
        with pytest.MonkeyPatch.context() as patched:
            tests = str(Path(__file__).resolve().parents[1])
            patched.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
            patched.setenv("RAY_ADDRESS", nodes.cluster.address)
            connect()
            yield nodes
    finally:
        ray.shutdown()
        nodes.cluster.shutdown()


class Loss(threading.Thread):
    """Takes a node away once there is a checkpoint of both workers to go on from."""

    def __init__(self, stage: Stage, nodes: Nodes) -> None:
        super().__init__(daemon=True)
        self.folder, self.nodes, self.is_lost = Path(stage.path("train")), nodes, False

    def run(self) -> None:
        while not self._saved():
            time.sleep(0.02)
        self.nodes.lose()
        self.is_lost = True

    def _saved(self) -> bool:
        """Each worker has its own state of chance in a checkpoint."""
        files = {file.name for file in self.folder.glob("checkpoint_*/*")}
        return {"trainer_state.json", "rng_state_0.pth", "rng_state_1.pth"} <= files


def figures(history: list[dict[str, Any]]) -> list[float]:
    return [entry[name] for entry in history for name in ("step", "loss", "learning_rate")]


Training = Callable[..., list[dict[str, Any]]]


def with_a_loss(nodes: Nodes, folder: Path, train: Training, file: str, **changes: Any) -> None:
    """Trains twice, once with both nodes and once with one of them lost, and compares."""
    nodes.fill()
    whole = train(Stage(str(folder / "whole"), "s", "0"), file, **LENGTH, **changes)
    stage = Stage(str(folder / "lost"), "s", "0")
    loss = Loss(stage, nodes)
    loss.start()
    elastic = train(stage, file, **LENGTH, min_workers=1, **changes)
    assert loss.is_lost, "the training ended before its node was lost, or had one worker from the start"
    assert len(nodes.nodes) == 1
    assert [entry["step"] for entry in elastic] == list(range(1, STEPS + 1))
    assert figures(elastic) == pytest.approx(figures(whole), rel=1e-3, abs=1e-6)
    assert figures(elastic)[-2] != pytest.approx(figures(elastic)[1], rel=1e-3), "nothing was learned"


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_every_zero_stage_goes_on_with_one_worker(
    zero_stage: int, nodes: Nodes, tmp_path: Path, preference_file: str
) -> None:
    with_a_loss(nodes, tmp_path, train_reward, preference_file, zero_stage=zero_stage, accumulate=2)


def test_a_policy_of_pictures_sees_the_same_noises(nodes: Nodes, tmp_path: Path, pair_file: str) -> None:
    with_a_loss(nodes, tmp_path, train_dpo, pair_file, zero_stage=2, accumulate=2)


def test_adapters_beside_frozen_weights_go_on_too(nodes: Nodes, tmp_path: Path, answer_file: str) -> None:
    lora = {"lora": {"rank": 4, "alpha": 8}, "train_vision": False, "lr": 1e-2}
    with_a_loss(nodes, tmp_path, train_vlm_dpo, answer_file, zero_stage=3, **lora)

"""Pools and training workers go to the nodes whose labels they ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sizes.engines import generated, nodes_of, run_of

from urm_ray import store
from urm_ray.config_training import TrainConfig
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.placement import need_workers, wait_for_nodes
from urm_ray.pipeline.stream import training_rows
from urm_ray.run_folder import Stage
from urm_ray.store import StoreError

pytestmark = pytest.mark.local

GROUP = "urm-ray/group"


@pytest.fixture(autouse=True)
def little_patience() -> Iterator[None]:
    wait_for_nodes(2.0)
    yield
    wait_for_nodes(600.0)


@pytest.fixture(scope="module")
def labelled() -> Iterator[dict[str, str]]:
    """Ids of the nodes by their group; the head has none."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patched:
        tests = str(Path(__file__).resolve().parents[1])
        patched.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))  # nodes inherit it
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        try:
            ids = {group: cluster.add_node(num_cpus=2, labels={GROUP: group}).node_id for group in ("judge", "sampler")}
            patched.setenv("RAY_ADDRESS", cluster.address)
            connect()
            yield ids
        finally:
            ray.shutdown()
            cluster.shutdown()


def pools(sampler: str, judge: str) -> dict[str, Any]:
    """What the labels of the nodes of two pools are to be."""
    return {
        f"{name}_pool": {"actors": 2, "num_cpus": 0.1, "labels": {GROUP: wanted}}
        for name, wanted in (("sampler", sampler), ("judge", judge))
    }


def test_actors_are_on_the_nodes_with_their_labels(labelled: dict[str, str], tmp_path: Path) -> None:
    run = run_of(tmp_path, 4, {"unit_rows": 1, **pools("!in(judge, none)", "judge")})
    generated(run, 0.0, 0.0)
    assert nodes_of(run, "judge") == {labelled["judge"]}
    assert labelled["judge"] not in nodes_of(run, "sampler")


def test_a_label_that_no_node_has_ends_the_stage_with_a_sentence(labelled: dict[str, str], tmp_path: Path) -> None:
    run = run_of(tmp_path, 4, {"unit_rows": 1, **pools("sampler", "in(spare, gone)")})
    with pytest.raises(
        StoreError, match=rf"judge_pool needs a node with .*label {GROUP}: in\(spare, gone\).*none"
    ) as said:
        generated(run, 0.0, 0.0)
    assert f"{GROUP}: judge" in str(said.value)


def note_node(settings: dict[str, Any]) -> None:
    """A training that does nothing."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    store.write_json(store.join(settings["stage"], "nodes", f"{ray.train.get_context().get_world_rank()}.json"), node)


def test_training_workers_are_on_the_nodes_with_their_labels(labelled: dict[str, str], tmp_path: Path) -> None:
    from urm_ray.training.launch import launch

    stage = Stage(str(tmp_path / "stage"), "reward", "0" * 32)
    file = str(tmp_path / "rows.parquet")
    store.write_table(file, pa.table({"row": [1, 2]}))
    config = TrainConfig(workers=2, num_cpus=0.5, labels={GROUP: "judge"})
    launch(note_node, {"stage": stage.uri}, config, stage, training_rows([file], ["row"], 1))
    found = [store.read_json(stage.path("nodes", f"{rank}.json")) for rank in range(2)]
    assert found == [labelled["judge"]] * 2
    with pytest.raises(StoreError, match="a training worker needs a node"):
        need_workers("reward", config.model_copy(update={"labels": {GROUP: "gone"}}))

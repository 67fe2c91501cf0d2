from types import SimpleNamespace

import pytest
import ray

from urm_ray.config_training import PoolConfig, TrainConfig
from urm_ray.pipeline import placement
from urm_ray.pipeline.placement import chosen, need_pools, need_workers, wait_for_nodes
from urm_ray.store import StoreError


def node(labels=(), alive=True, **resources):
    return {"Alive": alive, "Labels": {"ray.io/node-id": "f00", **dict(labels)}, "Resources": {"CPU": 8.0, **resources}}


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes of a Ray that was started here."""
    nodes = [node(), node({"group": "judge", "ray.io/accelerator-type": "H100"}, GPU=2.0), node({"group": "x"}, False)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(placement, "joined", lambda: False)
    return nodes


@pytest.mark.parametrize(
    ("wanted", "label", "is_chosen"),
    [
        ("judge", "judge", True),
        ("judge", "spare", False),
        ("judge", None, False),
        ("!judge", "judge", False),
        ("!judge", "spare", True),
        ("!judge", None, True),
        ("in(judge, spare)", "spare", True),
        ("in(judge,spare)", "other", False),
        ("in(judge, spare)", None, False),
        ("!in(judge, spare)", "spare", False),
        ("!in(judge, spare)", None, True),
    ],
)
def test_a_selector_chooses_labels_as_ray_does(wanted, label, is_chosen):
    assert chosen(wanted, label) is is_chosen


@pytest.mark.parametrize(
    "pool",
    [
        PoolConfig(num_cpus=8),
        PoolConfig(num_gpus=2),
        PoolConfig(labels={"group": "in(judge, x)"}),
        PoolConfig(labels={"group": "!judge"}),
        PoolConfig(labels={"group": "judge"}, accelerator_type="H100", num_gpus=0.5),
    ],
)
def test_an_actor_that_some_node_can_hold_is_nothing_to_talk_of(cluster, capsys, pool):
    need_pools("generate", {"judge_pool": pool})
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("pool", "asked"),
    [
        (PoolConfig(num_cpus=9), "9 CPU"),
        (PoolConfig(num_gpus=3), "1 CPU, 3 GPU"),
        (PoolConfig(labels={"group": "x"}), "1 CPU, label group: x"),
        (PoolConfig(labels={"group": "!judge"}, num_gpus=1), "1 CPU, 1 GPU, label group: !judge"),
        (PoolConfig(accelerator_type="A100"), "1 CPU, label ray.io/accelerator-type: A100"),
    ],
)
def test_what_no_node_can_hold_is_told_in_one_sentence(cluster, pool, asked):
    with pytest.raises(StoreError) as caught:
        need_pools("generate", {"sampler_pool": PoolConfig(), "judge_pool": pool})
    assert str(caught.value) == (
        f"generate: an actor of judge_pool needs a node with {asked}, and there is none; there are 1 with 8 CPU, 0 GPU;"
        " 1 with 8 CPU, 2 GPU, group: judge, ray.io/accelerator-type: H100: start one, or change what is asked for"
    )


@pytest.fixture
def asked(monkeypatch):
    """What is asked of the autoscaler of a cluster that was joined: what was, and what still is."""
    asked = SimpleNamespace(ever=[], still=[])

    def ask(bundles, bundle_label_selector):
        asked.ever.append((bundles, bundle_label_selector))
        asked.still.append(asked.ever[-1])
        return asked.ever[-1]

    monkeypatch.setattr(placement, "joined", lambda: True)
    monkeypatch.setattr(placement, "_LOOK_S", 0.01)
    monkeypatch.setattr(placement, "placement_group", ask)
    monkeypatch.setattr(placement, "remove_placement_group", asked.still.remove)
    yield asked
    wait_for_nodes(600.0)


def test_on_a_cluster_that_was_joined_a_node_is_asked_for_and_waited_for(cluster, asked, monkeypatch, capsys):
    looks = iter([cluster] * 12)
    came = [*cluster, node({"group": "x"}, GPU=1.0)]
    seen = []

    def nodes():
        seen.append(len(asked.still))
        return next(looks, came)

    monkeypatch.setattr(ray, "nodes", nodes)
    need_pools("generate", {"judge_pool": PoolConfig(labels={"group": "x"}, num_gpus=1), "sampler_pool": PoolConfig()})
    assert asked.ever == [([{"CPU": 1.0, "GPU": 1.0}], [{"group": "x"}])]
    assert seen[-1] == 1
    assert asked.still == []
    assert "label group: x, and there is none" in capsys.readouterr().err


def test_a_node_that_does_not_come_is_told_once_patience_ends(cluster, asked):
    wait_for_nodes(0.05)
    with pytest.raises(StoreError, match="judge_pool needs a node with 1 CPU, label group: x, and there is none"):
        need_pools("generate", {"judge_pool": PoolConfig(labels={"group": "x"})})
    assert len(asked.ever) == 1
    assert asked.still == []
    wait_for_nodes(0.0)
    with pytest.raises(StoreError, match="start one, or change what is asked for"):
        need_workers("reward", TrainConfig(use_gpu=True, labels={"group": "x"}))
    assert len(asked.ever) == 1


def test_training_workers_need_their_nodes_too(cluster):
    need_workers("reward", TrainConfig(use_gpu=True, labels={"group": "judge"}))
    with pytest.raises(StoreError, match=r"reward: a training worker needs a node with 1 CPU, 1 GPU, label group: x"):
        need_workers("reward", TrainConfig(use_gpu=True, labels={"group": "x"}))

"""Work makes the autoscaler start the nodes that it is meant for, and no others, in every cluster file."""

from collections import Counter
from typing import Any

import pytest
from cluster.files import GROUPS, LAUNCHERS, read
from cluster.launcher_rules import prepared
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig, NodeTypeConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.autoscaler_pb2 import GangResourceRequest
from ray.core.generated.common_pb2 import LABEL_OPERATOR_IN


def nodes_of(name: str) -> dict[str, NodeTypeConfig]:
    if name in LAUNCHERS:
        return prepared(read(f"{name}.yaml")).get_node_type_configs()
    document = read("kuberay/raycluster.yaml")
    document["metadata"]["namespace"] = "default"
    derived = _derive_autoscaling_config_from_ray_cr(document)
    return AutoscalingConfig(derived, skip_content_hash=True).get_node_type_configs()


def started(nodes: dict[str, NodeTypeConfig], *asked: tuple[dict[str, float], str | None], gang: bool = False) -> Any:
    """The nodes that are started for actors with resources and, where one is named, a type of GPU."""
    requests = [
        ResourceRequestUtil.make(
            resources, label_selectors=[[("ray.io/accelerator-type", LABEL_OPERATOR_IN, [gpu])]] if gpu else None
        )
        for resources, gpu in asked
    ]
    reply = ResourceDemandScheduler(event_logger=None).schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=nodes,
            max_num_nodes=40,
            resource_requests=[] if gang else ResourceRequestUtil.group_by_count(requests),
            gang_resource_requests=[GangResourceRequest(requests=requests)] if gang else [],
        )
    )
    assert not reply.infeasible_resource_requests
    assert not reply.infeasible_gang_resource_requests
    found = Counter[str]()
    for launch in reply.to_launch:
        found[launch.instance_type] += launch.count
    found.pop("headgroup", None)
    found.pop("head", None)
    return dict(found)


@pytest.fixture(params=[*LAUNCHERS, "kuberay"])
def nodes(request: pytest.FixtureRequest) -> dict[str, NodeTypeConfig]:
    return nodes_of(request.param)


def test_nothing_is_started_for_nothing(nodes):
    assert started(nodes) == {}


def test_each_pool_gets_the_nodes_that_it_names(nodes):
    for group in GROUPS - {"cpu"}:
        gpu, whole = nodes[group].labels["ray.io/accelerator-type"], nodes[group].resources["GPU"]
        assert started(nodes, *[({"CPU": 4, "GPU": 1}, gpu)] * int(2 * whole)) == {group: 2}


def test_work_without_gpus_starts_none(nodes):
    assert started(nodes, *[({"CPU": 1}, None)] * 20) == {"cpu": 2}


def test_the_workers_of_a_training_come_together_on_nodes_of_their_own(nodes):
    gpu = nodes["trainer"].labels["ray.io/accelerator-type"]
    assert started(nodes, *[({"CPU": 8, "GPU": 1}, gpu)] * 16, gang=True) == {"trainer": 2}

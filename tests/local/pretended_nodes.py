"""Nodes that an autoscaler starts as processes of its own machine."""

from __future__ import annotations

import os
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider


class PretendedNodes(FakeMultiNodeProvider):
    """Each has its own resources and labels. Where the head has its own from the environment, as on a machine of the
    cloud, Ray would give every node those of the head. All have this machine's memory, whatever their kind says: Ray's
    own class starts no node of a kind that says it."""

    def create_node_with_resources_and_labels(
        self, config: Any, tags: Any, count: int, resources: dict[str, float], labels: Any
    ) -> Any:
        for name in ("RAY_OVERRIDE_RESOURCES", "RAY_OVERRIDE_LABELS"):
            os.environ.pop(name, None)
        others = {name: amount for name, amount in resources.items() if name != "memory"}
        return super().create_node_with_resources_and_labels(config, tags, count, others, labels)

"""Nodes that an autoscaler starts as processes of its own machine."""

from __future__ import annotations

import os
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider


class PretendedNodes(FakeMultiNodeProvider):
    """Each has its own resources and labels. Where the head has its own from the environment, as on a machine of the
    cloud, Ray would give every node those of the head."""

    def create_node_with_resources_and_labels(self, *asked: Any) -> Any:
        for name in ("RAY_OVERRIDE_RESOURCES", "RAY_OVERRIDE_LABELS"):
            os.environ.pop(name, None)
        return super().create_node_with_resources_and_labels(*asked)

"""Whether there is a node for what is to run: what no node can hold would wait without a word."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from typing import Any

import ray
from ray.util import placement_group, remove_placement_group
from ray.util.placement_group import PlacementGroup

from urm_ray.config_training import Placement, PoolConfig, TrainConfig
from urm_ray.pipeline.context import joined
from urm_ray.store import StoreError

_OF_RAY = ("ray.io/node-id", "ray.io/node-ip")
"""Labels of each node that say nothing of its kind."""
_LOOK_S = 1.0
_patience = {"seconds": 600.0}

Need = tuple[str, Placement, dict[str, float]]
"""What needs a node, which one it takes, and how much of it; for the message."""


def wait_for_nodes(seconds: float) -> None:
    """How long `need_pools` and `need_workers` wait for nodes that are not there (`RunConfig.node_wait_s`)."""
    _patience["seconds"] = seconds


def need_pools(stage: str, pools: dict[str, PoolConfig]) -> None:
    """As `need_nodes`, for an actor of each pool. stage: for the message."""
    need_nodes(
        (f"{stage}: an actor of {name}", pool, {"CPU": pool.num_cpus, "GPU": pool.num_gpus})
        for name, pool in pools.items()
    )


def need_workers(stage: str, config: TrainConfig) -> None:
    """As `need_nodes`, for a training worker."""
    need_nodes([(f"{stage}: a training worker", config, {"CPU": config.num_cpus, "GPU": float(config.use_gpu)})])


def need_nodes(needs: Iterable[Need]) -> None:
    """StoreError if one of them could be held by no node were it alone there.

    On a cluster that was joined such a node may come: its autoscaler, if it has one, is asked for it, and it is waited
    for. Whether there is an autoscaler is not asked, since those of clouds and of Kubernetes do not tell.
    """
    lacking = [need for need in needs if not _held(need)]
    if not lacking:
        return
    said = _said(lacking[0])
    if joined() and _patience["seconds"]:
        print(f"{said}; it waits {_patience['seconds']:g} s for one to come", file=sys.stderr, flush=True)
        lacking = _not_come(lacking)
    if lacking:
        raise StoreError(f"{_said(lacking[0])}: start one, or change what is asked for")


def _not_come(needs: list[Need]) -> list[Need]:
    """Those that there is still no node for when patience ends."""
    asked = [_ask(resources, place.label_selector) for _, place, resources in needs]
    end = time.monotonic() + _patience["seconds"]
    try:
        while (lacking := [need for need in needs if not _held(need)]) and time.monotonic() < end:
            time.sleep(_LOOK_S)
        return lacking
    finally:
        for group in asked:
            remove_placement_group(group)  # from now on it is actors and workers that ask


def _ask(resources: dict[str, float], labels: dict[str, str]) -> PlacementGroup:
    """Asks the cluster's autoscaler, if it has one, for a node, until the group is removed or this process ends.

    Nothing runs in the group. Unlike `ray.autoscaler.sdk.request_resources`, of which a cluster knows one at a time, it
    adds to what other jobs ask for, and is gone with the process even if that is killed.
    """
    bundle = _amounts(resources) or {"CPU": 0.001}  # a bundle of nothing is refused
    return placement_group([bundle], bundle_label_selector=[labels] if labels else None)


def _held(need: Need) -> bool:
    _, place, resources = need
    return any(fits(place.label_selector, _amounts(resources), node) for node in _nodes())


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _amounts(resources: dict[str, float]) -> dict[str, float]:
    return {name: amount for name, amount in resources.items() if amount}


def _said(need: Need) -> str:
    what, place, resources = need
    asked = [f"{amount:g} {name}" for name, amount in _amounts(resources).items()]
    asked += [f"label {name}: {value}" for name, value in place.label_selector.items()]
    return f"{what} needs a node with {', '.join(asked)}, and there is none; there are {_listed(_nodes())}"


def fits(selector: dict[str, str], wanted: dict[str, float], node: dict[str, Any]) -> bool:
    """Whether a node, as `ray.nodes` has it, has these labels and, in all, these resources."""
    labels, resources = node["Labels"], node["Resources"]
    return all(chosen(value, labels.get(name)) for name, value in selector.items()) and all(
        resources.get(name, 0.0) >= amount for name, amount in wanted.items()
    )


def chosen(wanted: str, label: str | None) -> bool:
    """Whether a label's value, None where a node lacks it, is what a selector wants."""
    negated, values = wanted.startswith("!"), wanted.removeprefix("!")
    listed = re.fullmatch(r"in\((.*)\)", values)
    among = [one.strip() for one in listed[1].split(",")] if listed else [values]
    return (label in among) != negated


def _listed(nodes: list[dict[str, Any]]) -> str:
    """Nodes by what they have, such as "2 with 8 CPU, 1 GPU and urm-ray/group: judge"."""
    kinds: dict[str, int] = {}
    for node in nodes:
        has = [f"{node['Resources'].get(name, 0.0):g} {name}" for name in ("CPU", "GPU")]
        labels = [f"{name}: {value}" for name, value in sorted(node["Labels"].items()) if name not in _OF_RAY]
        kind = ", ".join([*has, *labels])
        kinds[kind] = kinds.get(kind, 0) + 1
    return "; ".join(f"{count} with {kind}" for kind, count in kinds.items())

"""Whether there is a node for what is to run: what no node can hold would wait without a word."""

from __future__ import annotations

import re
import sys
from typing import Any

import ray
from ray.data._internal.cluster_autoscaler.util import is_autoscaling_enabled

from urm_ray.config_training import Placement, PoolConfig, TrainConfig
from urm_ray.store import StoreError

_OF_RAY = ("ray.io/node-id", "ray.io/node-ip")
"""Labels of each node that say nothing of its kind."""


def need_pools(stage: str, pools: dict[str, PoolConfig]) -> None:
    """As `need_node`, for an actor of each pool. stage: for the message."""
    for name, pool in pools.items():
        need_node(f"{stage}: an actor of {name}", pool, {"CPU": pool.num_cpus, "GPU": pool.num_gpus})


def need_workers(stage: str, config: TrainConfig) -> None:
    """As `need_node`, for a training worker."""
    need_node(f"{stage}: a training worker", config, {"CPU": config.num_cpus, "GPU": float(config.use_gpu)})


def need_node(what: str, place: Placement, resources: dict[str, float]) -> None:
    """StoreError if no node could hold it were it alone there; where Ray has an autoscaler, which may bring one, it is
    only told."""
    wanted = {name: amount for name, amount in resources.items() if amount}
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if any(fits(place.label_selector, wanted, node) for node in nodes):
        return
    asked = [f"{amount:g} {name}" for name, amount in wanted.items()]
    asked += [f"label {name}: {value}" for name, value in place.label_selector.items()]
    said = f"{what} needs a node with {', '.join(asked)}, and there is none; there are {_listed(nodes)}"
    if not is_autoscaling_enabled():
        raise StoreError(f"{said}: start one, or change what is asked for")
    print(f"{said}; it waits for the autoscaler to bring one", file=sys.stderr, flush=True)


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

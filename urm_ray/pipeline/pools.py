"""Pool settings as Ray Data arguments."""

from __future__ import annotations

from typing import Any

from ray.data import ActorPoolStrategy

from urm_ray.config_training import PoolConfig


def actor_pool(pool: PoolConfig) -> dict[str, Any]:
    """Arguments of `Dataset.map_batches` for a pool of model-holding actors."""
    largest = max(pool.actors, pool.max_actors or 0)
    size = {"size": pool.actors} if largest == pool.actors else {"min_size": pool.actors, "max_size": largest}
    arguments: dict[str, Any] = {"compute": ActorPoolStrategy(**size), "num_cpus": pool.num_cpus}
    if pool.num_gpus:
        arguments["num_gpus"] = pool.num_gpus
    if pool.accelerator_type:
        arguments["label_selector"] = {"ray.io/accelerator-type": pool.accelerator_type}
    return arguments


def bind(actor: type, **arguments: Any) -> type:
    """The actor class with its constructor's arguments inside.

    Ray Data keeps constructor arguments in the object store, and an actor cannot be restarted once they are lost with
    a node; what is part of the class is not.
    """

    class Bound(actor):
        def __init__(self) -> None:
            super().__init__(**arguments)

    Bound.__name__ = Bound.__qualname__ = actor.__name__
    return Bound


def use_threads(num_cpus: float) -> None:
    """Lets torch use as many threads as the actor has CPUs, so that actors on one machine do not crowd each other."""
    import torch

    torch.set_num_threads(max(1, round(num_cpus)))

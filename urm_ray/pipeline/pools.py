"""Pool settings as Ray Data arguments."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from ray.data import ActorPoolStrategy, TaskPoolStrategy

from urm_ray.config import JudgeConfig
from urm_ray.config_training import PoolConfig
from urm_ray.pipeline.counts import noted


def actor_pool(pool: PoolConfig, **strategy: Any) -> dict[str, Any]:
    """Arguments of `Dataset.map_batches` for a pool of model-holding actors. strategy: more of `ActorPoolStrategy`."""
    size = {"size": pool.actors} if pool.most == pool.actors else {"min_size": pool.actors, "max_size": pool.most}
    arguments: dict[str, Any] = {"compute": ActorPoolStrategy(**size, **strategy), "num_cpus": pool.num_cpus}
    if pool.num_gpus:
        arguments["num_gpus"] = pool.num_gpus
    if pool.label_selector:
        arguments["label_selector"] = pool.label_selector
    return arguments


def beside(pools: Mapping[str, PoolConfig]) -> dict[str, Any]:
    """Arguments of `Dataset.map_batches` for tasks that mostly wait for files, in an execution with these pools.

    They fit beside the actors on a small machine, and go on while actors wait for nodes, when Ray Data has no CPUs left
    to share out. Their number is limited: else Ray Data reckons that they could use GPUs, and Ray ends processes of
    tasks that idle beyond the CPUs of a node, so that many at a time would mostly be starts of processes.
    """
    size = max(4, sum(pool.most for pool in pools.values()) // 4)
    return {"num_cpus": 0, "compute": TaskPoolStrategy(size)}


def judge_pool(pool: PoolConfig, judge: JudgeConfig) -> dict[str, Any]:
    """As `actor_pool`, of actors that put batches to a judge.

    vLLM is held by the judge's own actor, and not by the stages of `ray.data.llm`: they take one question a row, and a
    prompt asks twenty or thirty, whose verdicts belong into its row. Rows of questions would have to be grouped by
    prompt again, which needs all of them before the first is done. What those stages are for is done here too: an actor
    gets a whole engine's GPUs, on one node; several batches are asked about at the same time, so that the engine is
    never drained; and the actors may run in an environment that has vLLM.
    """
    if judge.engine == "transformers":
        return actor_pool(pool)
    arguments = actor_pool(pool, max_concurrent_calls_per_actor=judge.overlap, enable_true_multi_threading=True)
    if judge.engine == "vllm" and judge.vllm.python:
        arguments["runtime_env"] = {"py_executable": judge.vllm.python}
    return arguments


def bind(actor: type, **arguments: Any) -> type:
    """The actor class with its constructor's arguments inside, which notes its work on what it returns.

    Ray Data keeps constructor arguments in the object store, and an actor cannot be restarted once they are lost with
    a node; what is part of the class is not.
    `pipeline.counts` of a call: its seconds, and what the actor's model has `spent`, if it knows.
    """

    class Bound(actor):
        def __init__(self) -> None:
            super().__init__(**arguments)

        def __call__(self, batch: pa.Table) -> pa.Table:
            started = time.perf_counter()
            made = super().__call__(batch)
            spent = getattr(self, "spent", None)
            work = {"actor_seconds": time.perf_counter() - started, **(spent.take() if spent else {})}
            return noted(made, f"work of {actor.__name__}", {(n, actor.__name__): w for n, w in work.items()})

    Bound.__name__ = Bound.__qualname__ = actor.__name__
    return Bound


def use_threads(num_cpus: float) -> None:
    """Lets torch use as many threads as the actor has CPUs, so that actors on one machine do not crowd each other."""
    import torch

    torch.set_num_threads(max(1, round(num_cpus)))

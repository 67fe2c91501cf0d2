"""What is done once with each preference pair before a training: encoders' and references' forward passes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from urm_ray import schema
from urm_ray.config_training import PoolConfig, Task
from urm_ray.models import checked
from urm_ray.pipeline.attempts import Care
from urm_ray.pipeline.balance import Pools
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.pair_actors import Encode, Reference
from urm_ray.pipeline.pools import actor_pool, bind
from urm_ray.pipeline.quarantine import quarantined
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import stream_units
from urm_ray.run_folder import Stage
from urm_ray.store import StoreError
from urm_ray.training.rows import reference_digest

READ = "read"
"""The folder of a stage that holds the pairs as the training reads them."""


def encode_pairs(run: Run, stage: Stage, task: Task) -> Counter[str | None]:
    """Writes `schema.ENCODED_PAIR` units of a diffusion policy's pairs.

    Returns how many there are to train on (None), and how many are left out for each reason.
    """
    pool, policy = run.config.policy(task).dpo.encode_pool, run.config.policy(task)
    settings = {"config": run.config.model_dump(), "task": task, "path": checked(policy.path)}
    return _read(run, stage, task, (Encode, settings, pool), schema.ENCODED_PAIR, "dropped")


def refer_pairs(run: Run, stage: Stage, task: Task) -> Counter[str | None]:
    """Writes `schema.ANSWER_PAIR` units of a VLM policy's pairs; returns as `encode_pairs` does."""
    policy = run.config.policy(task)
    pool = policy.vlm_dpo.encode_pool
    settings = {
        "config": run.config.model_dump(),
        "task": task,
        "path": checked(policy.path),
        "reference_digest": reference_of(run, task),
    }
    return _read(run, stage, task, (Reference, settings, pool), schema.ANSWER_PAIR, "unfit")


def reference_of(run: Run, task: Task) -> str:
    policy = run.config.policy(task)
    return reference_digest(run.model_digest(policy.path), policy.vlm_dpo, policy.clips)


def _read(
    run: Run,
    stage: Stage,
    task: Task,
    work: tuple[type, dict[str, Any], PoolConfig],
    output: pa.Schema,
    reason: str,
) -> Counter[str | None]:
    """work: the actor, its settings and its pool."""
    actor, settings, pool = work

    def operators(units: Any, ledger: SharedLedger) -> Any:
        bound = bind(actor, **settings, num_cpus=pool.num_cpus, care=Care(ledger, pool.row_limit_s))
        return units.map_batches(bound, batch_size=1, batch_format="pyarrow", **actor_pool(pool))

    pairs = run.finished("pairs", task)
    stream_units(
        f"{stage.name}: pairs",
        pairs.units("sifted"),
        stage.path(READ),
        run.config.policy(task).generate.unit_rows,
        "prompt_id",
        output,
        operators,
        put_aside_share=run.config.run.put_aside_share,
        stage=stage,
        pools=Pools(stage, {"encode_pool": pool}, None),
    )
    quarantined(stage, READ)
    reasons: Counter[str | None] = Counter(stage.rows(READ, [reason])[reason].to_pylist())
    known = pairs.manifest()["audit"]["dropped"]
    left_out: dict[str | None, int] = {
        name: count for name, count in reasons.items() if name is not None and name not in known
    }
    if left_out:
        print(f"[{stage.name}] {sum(left_out.values())} pairs cannot be trained on: {left_out}", flush=True)
    if not reasons[None]:
        raise StoreError(f"{stage.name}: none of the preference pairs can be trained on: {left_out}")
    return Counter({None: reasons[None]} | left_out)

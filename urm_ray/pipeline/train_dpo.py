"""Stage 5: Diffusion-DPO of the policy from the preference pairs, which are encoded once before the training."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray import schema, store
from urm_ray.config import Task
from urm_ray.models import resolve
from urm_ray.pipeline.actors import Encode
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.pools import actor_pool, bind
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, passes_needed, stream_units, training_rows
from urm_ray.store import Stage, StoreError


def kept(batch: pa.Table) -> pa.Table:
    return batch.filter(pc.is_null(batch["dropped"]))


def encode_pairs(run: Run, stage: Stage, task: Task) -> tuple[int, dict[str, int]]:
    """Writes `schema.ENCODED_PAIR` units into the stage, each a file, so that an interrupted encoding goes on.

    Returns how many pairs there are to train on, and how many could not be encoded for which reason.
    """
    policy, generated = run.config.policy(task), run.finished("generate", task)
    pool, dump = policy.dpo.encode_pool, run.config.model_dump()

    def operators(units: Any) -> Any:
        return units.map_batches(
            bind(Encode, config=dump, task=task, path=resolve(policy.path), num_cpus=pool.num_cpus),
            batch_size=1,
            batch_format="pyarrow",
            **actor_pool(pool),
        )

    stream_units(
        f"{stage.name}: encode",
        generated.units("sifted"),
        stage.path("encoded"),
        policy.generate.unit_rows,
        "prompt_id",
        schema.ENCODED_PAIR,
        operators,
        count_null="dropped",
        counted="pairs encoded",
    )
    reasons = Counter(stage.rows("encoded", ["dropped"])["dropped"].to_pylist())
    spoiled = {reason: count for reason, count in reasons.items() if reason and reason.startswith("media_error:")}
    if spoiled:
        print(f"[{stage.name}] {sum(spoiled.values())} pairs could not be encoded: {spoiled}", flush=True)
    if not reasons[None]:
        raise StoreError(f"{stage.name}: none of the preference pairs could be encoded: {spoiled}")
    return reasons[None], spoiled


def train_dpo(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    from urm_ray.training.dpo_loop import dpo_loop
    from urm_ray.training.launch import launch

    connect()
    policy = run.config.policy(task)
    config = policy.dpo
    pairs, spoiled = encode_pairs(run, stage, task)
    rows = training_rows(stage.units("encoded"), schema.ENCODED_PAIR.names, passes_needed(pairs, config)).map_batches(
        kept, batch_format="pyarrow", batch_size=None, num_cpus=LIGHT
    )
    settings = {
        "train": config.model_dump(),
        "policy": resolve(policy.path),
        "seed": run.config.run.seed,
        "stage": stage.uri,
        "rows": min(pairs, config.shuffle_rows),
    }
    launch(dpo_loop, settings, config, stage, rows)
    store.delete_dir(stage.path("encoded"))
    history = store.read_json(stage.path("history.json"))
    return {
        "steps": history[-1]["step"],
        "first_loss": history[0]["loss"],
        "final_loss": history[-1]["loss"],
        "pairs": pairs,
        "not_encoded": spoiled,
    }

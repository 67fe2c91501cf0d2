"""Stage 5: Diffusion-DPO of the policy from the preference pairs."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray import store
from urm_ray.config import Task
from urm_ray.models import resolve
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, passes_needed, training_rows
from urm_ray.store import Stage

COLUMNS = ["pair_id", "prompt", "chosen", "rejected", "dropped"]


def kept(batch: pa.Table) -> pa.Table:
    return batch.filter(pc.is_null(batch["dropped"]))


def train_dpo(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    from urm_ray.training.diffusion_dpo import dpo_loop
    from urm_ray.training.launch import launch

    connect()
    policy, generated = run.config.policy(task), run.finished("generate", task)
    config = policy.dpo
    pairs = generated.manifest()["audit"]["kept"]
    rows = training_rows(generated.units("sifted"), COLUMNS, passes_needed(pairs, config)).map_batches(
        kept, batch_format="pyarrow", batch_size=None, num_cpus=LIGHT
    )
    settings = {
        "train": config.model_dump(),
        "policy": resolve(policy.path),
        "seed": run.config.run.seed,
        "stage": stage.uri,
        "rows": min(pairs, 2048),
    }
    launch(dpo_loop, settings, config, stage, rows)
    history = store.read_json(stage.path("history.json"))
    return {
        "steps": history[-1]["step"],
        "first_loss": history[0]["loss"],
        "final_loss": history[-1]["loss"],
        "pairs": pairs,
    }

"""Stage 6: DPO of the policy from the preference pairs: Diffusion-DPO, or DPO of a VLM."""

from __future__ import annotations

from typing import Any

from urm_ray import schema, store
from urm_ray.config_policy import understands
from urm_ray.config_training import Task, TrainConfig
from urm_ray.models import checked
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.placement import need_workers
from urm_ray.pipeline.read_pairs import READ, encode_pairs, refer_pairs, reference_of
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, passes_needed, training_rows
from urm_ray.pipeline.training_progress import TrainingProgress
from urm_ray.run_folder import Stage
from urm_ray.training.loops import dpo_loop, vlm_dpo_loop
from urm_ray.training.rows import fitting, kept

PAIRS = "pairs.json"
"""How many pairs there were to train on, and why others were left out: the manifest has it at the end."""


def train_dpo(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    from urm_ray.training.launch import trained

    if not trained(stage):
        _train(run, stage, task)
    pairs = store.read_json(stage.path(PAIRS))
    for folder in ("train", READ):
        store.delete_dir(stage.path(folder))
    history = store.read_json(stage.path("history.json"))
    return {
        "steps": history[-1]["step"],
        "first_loss": history[0]["loss"],
        "final_loss": history[-1]["loss"],
        **pairs,
    }


def _train(run: Run, stage: Stage, task: Task) -> None:
    from urm_ray.training.launch import launch

    connect()
    policy = run.config.policy(task)
    settings: dict[str, Any] = {"policy": checked(policy.path), "seed": run.config.run.seed, "stage": stage.uri}
    settings["logged"] = TrainingProgress(stage)
    config: TrainConfig
    if understands(task):
        loop, config, columns, usable = vlm_dpo_loop, policy.vlm_dpo, schema.ANSWER_PAIR, fitting
        pairs = refer_pairs(run, stage, task)
        settings |= {"reference_digest": reference_of(run, task), "clips": policy.clips.model_dump()}
    else:
        loop, config, columns, usable = dpo_loop, policy.dpo, schema.ENCODED_PAIR, kept
        pairs = encode_pairs(run, stage, task)
    settings |= {"train": config.model_dump(), "rows": min(pairs[None], config.shuffle_rows)}
    settings |= {"tracking": run.config.tracking.model_dump()}
    rows = training_rows(stage.units(READ), columns.names, passes_needed(pairs[None], config)).map_batches(
        usable, batch_format="pyarrow", batch_size=None, num_cpus=LIGHT
    )
    left_out = {reason: count for reason, count in pairs.items() if reason}
    store.write_json(stage.path(PAIRS), {"pairs": pairs[None], "left_out": left_out})
    need_workers(stage.name, config)
    launch(loop, settings, config, stage, rows)

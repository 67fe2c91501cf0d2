"""Stage 2: SFT of the base VLM into the judge."""

from __future__ import annotations

from typing import Any

from urm_ray import schema, store
from urm_ray.models import checked
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.mix_report import MIX, NOTED, mix_lines, mix_report, point_scales
from urm_ray.pipeline.mixture import mixture
from urm_ray.pipeline.placement import need_workers
from urm_ray.pipeline.quarantine import quarantined
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, passes_needed, training_rows
from urm_ray.pipeline.training_progress import TrainingProgress
from urm_ray.run_folder import Stage
from urm_ray.training.left_out import PART
from urm_ray.training.loops import reward_loop
from urm_ray.training.rows import both_orders


def train_reward(run: Run, stage: Stage) -> dict[str, Any]:
    from urm_ray.training.launch import launch, trained

    connect()
    config = run.config.reward
    mix = mixture(run)
    total = sum(mix.examples.values())
    counted = mix_report(mix.files, config.task_weights)
    store.write_json(stage.path(MIX), counted)
    lines = mix_lines(counted, run.config.tasks)
    print("[reward] one pass of the mixture; a pair is two examples, one for each order", *lines, sep="\n")
    seen = config.steps * config.accumulate * config.batch * config.workers
    print(f"[reward] {config.steps} steps see {seen:,} examples, {seen / total:.2f} passes", flush=True)
    rows = training_rows(mix.files, schema.PREFERENCE.names, passes_needed(total, config)).map_batches(
        both_orders, batch_format="pyarrow", batch_size=None, num_cpus=LIGHT
    )
    settings = {
        "train": config.model_dump(),
        "base": checked(run.config.judge_base.path),
        "protocol": run.config.judge.protocol,
        "clips": run.config.judge.clips.model_dump(),
        "seed": run.config.run.seed,
        "stage": stage.uri,
        "logged": TrainingProgress(stage),
        "tracking": run.config.tracking.model_dump(),
        "put_aside_share": run.config.run.put_aside_share,
    }
    if not trained(stage):
        need_workers(stage.name, config)
        launch(reward_loop, settings, config, stage, rows)
    store.write_json(stage.path("model", NOTED), point_scales(counted))
    store.delete_dir(stage.path("train"))
    history = store.read_json(stage.path("history.json"))
    left_out = quarantined(stage, PART)
    facts = {"steps": history[-1]["step"], "final_loss": history[-1]["loss"]}
    return facts | ({"quarantined": left_out} if left_out else {})

"""A run with a few prompts and one stage to be done, whose sampler and judge do what the prompts say."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

from kills.dying import DyingJudge, DyingSample

from urm_ray import schema, store
from urm_ray.config import Config
from urm_ray.config_training import Task
from urm_ray.pipeline import generate_pairs
from urm_ray.pipeline.run import Run, execute
from urm_ray.run_folder import Stage

TASK: Task = "image_generation"
LIMIT_S = 3.0


def run_of(folder: Path, prompts: list[str], **pairs: Any) -> Run:
    pool = {"actors": 1, "num_cpus": 0.3, "row_limit_s": LIMIT_S}
    policy = {
        "path": "urm_ray.scenes:checkpoints/text_to_image",
        "sampler": {"candidates": 2},
        "generate": {"unit_rows": 4, "sampler_pool": pool, "judge_pool": pool},
    }
    settings: dict[str, Any] = {
        "run": {"dir": str(folder)},
        "tasks": [TASK],
        "judge": {"path": "urm_ray.scenes:checkpoints/vlm"},
        "pairs": {"ties": "point", **pairs},
        "policies": {TASK: policy},
    }
    run = Run(Config.model_validate(settings))
    prepared = run.stage("prepare", TASK)
    rows = [
        {"prompt_id": f"p{n:02d}", "task": TASK, "prompt": prompt, "context": [], "source": "made"}
        for n, prompt in enumerate(prompts)
    ]
    store.write_table(prepared.path("train_prompts", "unit-000000.parquet"), schema.table_of(rows, schema.PROMPT))
    prepared.finish(0.0)
    return run


def generated(folder: Path, prompts: list[str], **pairs: Any) -> Stage:
    run, once = run_of(folder / "run", prompts, **pairs), folder / "once"
    once.mkdir(parents=True)
    with (
        patch.object(generate_pairs, "Sample", type("Sample", (DyingSample,), {"once": once})),
        patch.object(generate_pairs, "Judge", type("Judge", (DyingJudge,), {"once": once})),
    ):
        stage = run.stage("generate", TASK)
        execute(run, stage, lambda run, stage: generate_pairs.generate(run, stage, TASK))
    return stage

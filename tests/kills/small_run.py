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
PROMPTS = [f"a plain prompt {n}" for n in range(12)]
POOL = {"actors": 1, "num_cpus": 0.3, "row_limit_s": LIMIT_S}


def settings_of(folder: Path, policy: dict[str, Any] | None = None, **sections: Any) -> Config:
    """policy: more of its settings."""
    own = {
        "path": "urm_ray.scenes:checkpoints/text_to_image",
        "sampler": {"candidates": 2},
        "generate": {"unit_rows": 4, "sampler_pool": POOL, "judge_pool": POOL},
    }
    settings: dict[str, Any] = {
        "run": {"dir": str(folder)},
        "tasks": [TASK],
        "judge": {"path": "urm_ray.scenes:checkpoints/vlm"},
        "policies": {TASK: own | (policy or {})},
    }
    return Config.model_validate(settings | sections)


def run_of(folder: Path, prompts: list[str], policy: dict[str, Any] | None = None, **pairs: Any) -> Run:
    run = Run(settings_of(folder, policy, pairs={"ties": "point", **pairs}))
    prepared = run.stage("prepare", TASK)
    rows = [
        {"prompt_id": f"p{n:02d}", "task": TASK, "prompt": prompt, "context": [], "source": "made"}
        for n, prompt in enumerate(prompts)
    ]
    for part in ("train_prompts", "heldout_prompts"):
        store.write_table(prepared.path(part, "unit-000000.parquet"), schema.table_of(rows, schema.PROMPT))
    prepared.finish(0.0)
    return run


def generated(folder: Path, prompts: list[str], policy: dict[str, Any] | None = None, **pairs: Any) -> Stage:
    run, once = run_of(folder / "run", prompts, policy, **pairs), folder / "once"
    once.mkdir(parents=True)
    with (
        patch.object(generate_pairs, "Sample", type("Sample", (DyingSample,), {"once": once})),
        patch.object(generate_pairs, "Judge", type("Judge", (DyingJudge,), {"once": once})),
    ):
        stage = run.stage("generate", TASK)
        execute(run, stage, lambda run, stage: generate_pairs.generate(run, stage, TASK))
    return stage

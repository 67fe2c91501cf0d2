"""Stages 7 and 8: the policy before and after, same prompts and seeds, by an independent scorer and the judge."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from urm_ray import schema, store
from urm_ray.config_training import Task
from urm_ray.evaluation.policy import compare_policies, is_hacking
from urm_ray.models import resolve
from urm_ray.pipeline.actors import Judge, Sample, Score
from urm_ray.pipeline.attempts import Care
from urm_ray.pipeline.judge_model import judge_model
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.pools import actor_pool, bind, judge_pool
from urm_ray.pipeline.quarantine import quarantined
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, stream_units
from urm_ray.sources.registry import SourceError
from urm_ray.store import Stage

EVALUATED = pa.schema([*schema.JUDGED_SET, Score.FIELD])
FIGURE_COLUMNS = ["prompt_id", "prompt", "point_verdicts", "figures"]


def baseline(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    """The policy as it was: `before` of every alignment of it that has the same judge, prompts and seeds."""
    path = run.config.policy(task).path
    return {"prompts": _measure(run, stage, task, "before", resolve(path), run.model_digest(path))}


def evaluate_policy(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    dpo, settings = run.finished("dpo", task), run.config.policy(task).evaluate
    _measure(run, stage, task, "after", store.local_dir(dpo.path("model")), dpo.digest)
    before = run.finished("baseline", task).rows("before", FIGURE_COLUMNS).to_pylist()
    after = stage.rows("after", FIGURE_COLUMNS).to_pylist()
    figures = compare_policies(before, after, settings.headline, run.config.run.seed, settings.resamples)
    print(
        f"[{stage.name}] {settings.headline}: "
        f"before {figures['before']}, after {figures['after']}, gain {figures['gain']}",
        flush=True,
    )
    if is_hacking(figures):
        print(f"[{stage.name}] REWARD HACKING: the judge's own score rose and {settings.headline} fell", flush=True)
    return {"figures": figures}


def _measure(run: Run, stage: Stage, task: Task, part: str, path: str, weights: str) -> int:
    """Writes what the policy in a folder makes of the held-out prompts, judged and scored, as a part of a stage.

    weights: their digest. Returns the number of prompts.
    """
    judge, settings, dump = judge_model(run), run.config.policy(task).evaluate, run.config.model_dump()

    def operators(units: Any, ledger: SharedLedger) -> Any:
        rows = units.map_batches(
            bind(
                Sample,
                config=dump,
                task=task,
                path=path,
                sampler_digest=run.sampler_digest(task, weights),
                count=settings.seeds_per_prompt,
                folder=stage.path(part),
                num_cpus=settings.sampler_pool.num_cpus,
                care=Care(ledger, settings.sampler_pool.row_limit_s),
            ),
            batch_size=1,
            batch_format="pyarrow",
            **actor_pool(settings.sampler_pool),
        )
        rows = rows.map_batches(
            bind(
                Judge,
                config=dump,
                path=judge.path,
                judge_digest=judge.digest,
                scales=judge.scales,
                num_cpus=settings.judge_pool.num_cpus,
                rank=False,
                care=Care(ledger, settings.judge_pool.row_limit_s),
            ),
            batch_size=None,
            batch_format="pyarrow",
            udf_modifying_row_count=False,
            **judge_pool(settings.judge_pool, run.config.judge),
        )
        care = Care(ledger, settings.scorer_pool.row_limit_s)
        if settings.scorer_model:
            score = bind(Score, scorer=settings.scorer, model=settings.scorer_model, care=care)
            return rows.map_batches(score, batch_size=None, batch_format="pyarrow", **actor_pool(settings.scorer_pool))
        return rows.map_batches(
            Score(settings.scorer, care=care), batch_size=None, batch_format="pyarrow", num_cpus=LIGHT
        )

    files = run.finished("prepare", task).units("heldout_prompts")
    if not files:
        raise SourceError(f"{stage.name}: there is no held-out prompt to measure on; see prepare.heldout_prompts")
    stream_units(
        stage.name,
        files,
        stage.path(part),
        settings.unit_rows,
        "prompt_id",
        EVALUATED,
        operators,
        put_aside_share=run.config.run.put_aside_share,
    )
    quarantined(stage, part)
    return sum(store.row_counts(files))

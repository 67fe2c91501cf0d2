"""Stages 7 and 8: the policy before and after, same prompts and seeds, by an independent scorer and the judge."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from urm_ray import schema, store
from urm_ray.config_training import Task
from urm_ray.evaluation.policy import compare_policies, is_hacking
from urm_ray.models import checked
from urm_ray.pipeline.actors import Judge, Sample, Score
from urm_ray.pipeline.attempts import Care
from urm_ray.pipeline.balance import Pools
from urm_ray.pipeline.judge_model import judge_model
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.pools import actor_pool, beside, bind, judge_pool
from urm_ray.pipeline.quarantine import SCORER, details, quarantined
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import stream_units
from urm_ray.run_folder import Stage
from urm_ray.sources.registry import SourceError

EVALUATED = pa.schema([*schema.JUDGED_SET, *Score.FIELDS])
FIGURE_COLUMNS = ["prompt_id", "prompt", "point_verdicts", "figures"]


def baseline(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    """The policy as it was: `before` of every alignment of it that has the same judge, prompts and seeds."""
    path = run.config.policy(task).path
    return _measure(run, stage, task, "before", checked(path), run.model_digest(path))


def evaluate_policy(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    dpo, settings = run.finished("dpo", task), run.config.policy(task).evaluate
    measured = _measure(run, stage, task, "after", dpo.path("model"), dpo.digest)
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
    return measured | {"figures": figures}


def _measure(run: Run, stage: Stage, task: Task, part: str, path: str, weights: str) -> dict[str, Any]:
    """Writes what the policy in a folder makes of the held-out prompts, judged and scored, as a part of a stage.

    weights: their digest. Returns the number of prompts, what was put aside, how many prompts the scorer failed at and,
    where its pools share a budget, their sizes.
    """
    judge, settings, dump = judge_model(run), run.config.policy(task).evaluate, run.config.model_dump()
    pools = Pools(stage, settings.pools, settings.budget)

    def operators(units: Any, ledger: SharedLedger) -> Any:
        sampler, judges = pools["sampler_pool"], pools["judge_pool"]
        sample = bind(
            Sample,
            config=dump,
            task=task,
            path=path,
            sampler_digest=run.sampler_digest(task, weights),
            count=settings.seeds_per_prompt,
            folder=stage.path(part),
            num_cpus=sampler.num_cpus,
            care=Care(ledger, sampler.row_limit_s),
        )
        ask = bind(
            Judge,
            config=dump,
            path=judge.path,
            judge_digest=judge.digest,
            scales=judge.scales,
            num_cpus=judges.num_cpus,
            rank=False,
            care=Care(ledger, judges.row_limit_s),
        )
        rows = units.map_batches(
            pools.timed("sampler_pool", sample), batch_size=1, batch_format="pyarrow", **actor_pool(sampler)
        ).map_batches(
            pools.timed("judge_pool", ask),
            batch_size=None,
            batch_format="pyarrow",
            udf_modifying_row_count=False,
            **judge_pool(judges, run.config.judge),
        )
        care = Care(ledger, settings.scorer_pool.row_limit_s)
        if settings.scorer_model:
            score = bind(Score, scorer=settings.scorer, model=settings.scorer_model, care=care)
            return rows.map_batches(
                pools.timed("scorer_pool", score),
                batch_size=None,
                batch_format="pyarrow",
                **actor_pool(pools["scorer_pool"]),
            )
        return rows.map_batches(
            Score(settings.scorer, care=care), batch_size=None, batch_format="pyarrow", **beside(pools)
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
        stage=stage,
        pools=pools,
    )
    facts = {"prompts": sum(store.row_counts(files)), "quarantined": quarantined(stage, part)}
    facts["unscored"] = details(stage, part)[SCORER]
    return facts | pools.facts()

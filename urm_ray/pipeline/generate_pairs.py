"""Stages 4 and 5: candidates and verdicts in one streaming execution, and the preference pairs sifted from them."""

from __future__ import annotations

from typing import Any

import ray

from urm_ray import schema, store
from urm_ray.config import Task
from urm_ray.models import resolve
from urm_ray.pairs.audit import audit, need_spread
from urm_ray.pairs.sifting import last_place
from urm_ray.pipeline.actors import Judge, Sample, Sift
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.mix_report import learned_scales
from urm_ray.pipeline.pools import actor_pool, bind
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, stream_units
from urm_ray.pipeline.units import plan
from urm_ray.store import Stage, StoreError

AUDIT_COLUMNS = ["dropped", "pairs_asked", "orders_agreed", "first_preferred"]


def generate(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    """Writes `schema.JUDGED_SET` units: every candidate and every verdict, however pairs are made of them later."""
    config, own, reward = run.config, run.config.policy(task), run.finished("reward")
    judge = store.local_dir(reward.path("model"))
    policy = resolve(own.path)
    pools = own.generate
    dump = config.model_dump()
    sampler_digest = run.sampler_digest(task, run.model_digest(own.path))
    judge_digest = schema.digest(config.digest_of("judge"), reward.digest)

    def operators(units: Any) -> Any:
        rows = units.map_batches(
            bind(
                Sample,
                config=dump,
                task=task,
                path=policy,
                sampler_digest=sampler_digest,
                count=own.sampler.candidates,
                folder=stage.path("judged"),
                num_cpus=pools.sampler_pool.num_cpus,
            ),
            batch_size=1,
            batch_format="pyarrow",
            **actor_pool(pools.sampler_pool),
        )
        return rows.map_batches(
            bind(
                Judge,
                config=dump,
                path=judge,
                judge_digest=judge_digest,
                scales=learned_scales(reward),
                num_cpus=pools.judge_pool.num_cpus,
            ),
            batch_size=1,
            batch_format="pyarrow",
            udf_modifying_row_count=False,
            **actor_pool(pools.judge_pool),
        )

    stream_units(
        stage.name,
        run.finished("prepare", task).units("train_prompts"),
        stage.path("judged"),
        pools.unit_rows,
        "prompt_id",
        schema.JUDGED_SET,
        operators,
    )
    judged = stage.rows("judged", ["point_verdicts", "scale"])
    need_spread(judged.to_pylist())
    return {"prompts": len(judged)}


def pairs(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    """Writes `schema.SIFTED_SET` units from the judged ones."""
    config, generated = run.config, run.finished("generate", task)
    files, unit_rows, dump = generated.units("judged"), config.policy(task).generate.unit_rows, config.model_dump()

    def sifted(units: Any, last: str | None = None) -> Any:
        return units.map_batches(Sift(dump, last), batch_size=1, batch_format="pyarrow", num_cpus=LIGHT)

    last = None
    if config.pairs.keep is not None:  # who is kept hangs on all of them, so they are sifted twice
        connect()
        units = plan(files, unit_rows)
        rows = sifted(ray.data.from_items(units, override_num_blocks=len(units))).select_columns(
            ["prompt_id", "dropped"]
        )
        last = last_place([r["prompt_id"] for r in rows.iter_rows() if r["dropped"] is None], config.pairs.keep)
    stream_units(
        stage.name,
        files,
        stage.path("sifted"),
        unit_rows,
        "prompt_id",
        schema.SIFTED_SET,
        lambda units: sifted(units, last),
        count_null="dropped",
        counted="pairs kept",
    )
    counts = audit(stage.rows("sifted", AUDIT_COLUMNS).to_pylist(), config.pairs.compares_orders)
    print(f"[{stage.name}] kept {counts['kept']} of {counts['prompts']}, dropped {counts['dropped']}", flush=True)
    if not counts["kept"]:
        raise StoreError(f"{stage.name}: no preference pair was kept, dropped: {counts['dropped']}")
    return {"audit": counts}

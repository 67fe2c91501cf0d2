"""Stage 4: candidates, verdicts and preference pairs in one streaming execution."""

from __future__ import annotations

from typing import Any

from urm_ray import schema, store
from urm_ray.config import Task
from urm_ray.models import resolve
from urm_ray.pairs.audit import audit, need_spread
from urm_ray.pipeline.actors import Judge, Sample, Sift
from urm_ray.pipeline.pools import actor_pool, bind
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, stream_units
from urm_ray.store import Stage, StoreError

AUDIT_COLUMNS = ["dropped", "pairs_asked", "orders_agreed", "first_preferred"]


def generate_pairs(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
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
                folder=stage.path("sifted"),
                num_cpus=pools.sampler_pool.num_cpus,
            ),
            batch_size=1,
            batch_format="pyarrow",
            **actor_pool(pools.sampler_pool),
        )
        rows = rows.map_batches(
            bind(Judge, config=dump, path=judge, judge_digest=judge_digest, num_cpus=pools.judge_pool.num_cpus),
            batch_size=1,
            batch_format="pyarrow",
            udf_modifying_row_count=False,
            **actor_pool(pools.judge_pool),
        )
        return rows.map_batches(Sift(dump), batch_size=None, batch_format="pyarrow", num_cpus=LIGHT)

    stream_units(
        stage.name,
        run.finished("prepare", task).units("train_prompts"),
        stage.path("sifted"),
        pools.unit_rows,
        "prompt_id",
        schema.SIFTED_SET,
        operators,
        count_null="dropped",
        counted="pairs kept",
    )
    need_spread(stage.rows("sifted", ["point_verdicts", "scale"]).to_pylist())
    counts = audit(stage.rows("sifted", AUDIT_COLUMNS).to_pylist(), config.pairs.both_orders)
    print(f"[{stage.name}] kept {counts['kept']} of {counts['prompts']}, dropped {counts['dropped']}", flush=True)
    if not counts["kept"]:
        raise StoreError(f"{stage.name}: no preference pair was kept, dropped: {counts['dropped']}")
    return {"audit": counts}

"""Stage 6: the policy before and after, same held-out prompts and seeds, by an independent scorer and the judge."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from urm_ray import schema, store
from urm_ray.config import Task
from urm_ray.evaluation.policy import compare_policies
from urm_ray.models import resolve
from urm_ray.pipeline.actors import Judge, Sample, Score
from urm_ray.pipeline.pools import actor_pool, bind
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, stream_units
from urm_ray.store import Stage

EVALUATED = pa.schema([*schema.JUDGED_SET, Score.FIELD])
FIGURE_COLUMNS = ["prompt_id", "prompt", "point_verdicts", "figures"]


def evaluate_policy(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    policy, reward, dpo = run.config.policy(task), run.finished("reward"), run.finished("dpo", task)
    judge, settings, dump = store.local_dir(reward.path("model")), policy.evaluate, run.config.model_dump()
    policies = {
        "before": (resolve(policy.path), run.sampler_digest(task, run.model_digest(policy.path))),
        "after": (store.local_dir(dpo.path("model")), run.sampler_digest(task, dpo.digest)),
    }
    for name, (path, digest) in policies.items():

        def operators(units: Any, path: str = path, digest: str = digest, name: str = name) -> Any:
            rows = units.map_batches(
                bind(
                    Sample,
                    config=dump,
                    task=task,
                    path=path,
                    sampler_digest=digest,
                    count=settings.seeds_per_prompt,
                    folder=stage.path(name),
                    num_cpus=settings.sampler_pool.num_cpus,
                ),
                batch_size=1,
                batch_format="pyarrow",
                **actor_pool(settings.sampler_pool),
            )
            rows = rows.map_batches(
                bind(
                    Judge,
                    config=dump,
                    path=judge,
                    judge_digest=reward.digest,
                    num_cpus=settings.judge_pool.num_cpus,
                    rank=False,
                ),
                batch_size=1,
                batch_format="pyarrow",
                udf_modifying_row_count=False,
                **actor_pool(settings.judge_pool),
            )
            return rows.map_batches(Score(settings.scorer), batch_size=None, batch_format="pyarrow", num_cpus=LIGHT)

        stream_units(
            f"{stage.name}: {name}",
            run.finished("prepare", task).units("heldout_prompts"),
            stage.path(name),
            settings.unit_rows,
            "prompt_id",
            EVALUATED,
            operators,
        )
    before, after = (stage.rows(name, FIGURE_COLUMNS).to_pylist() for name in policies)
    figures = compare_policies(before, after, settings.headline, run.config.run.seed, settings.resamples)
    print(
        f"[{stage.name}] {settings.headline}: "
        f"before {figures['before']}, after {figures['after']}, gain {figures['gain']}",
        flush=True,
    )
    return {"figures": figures}

"""Stages 4 and 5: candidates and verdicts in one streaming execution, and the preference pairs sifted from them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import ray

from urm_ray import schema, store
from urm_ray.config_training import Task
from urm_ray.fingerprint import fingerprint
from urm_ray.models import checked
from urm_ray.pairs.audit import audit, need_spread
from urm_ray.pairs.sifting import last_place
from urm_ray.pairs.standings import STANDINGS, STANDINGS_FROM, standings
from urm_ray.pipeline.actors import AskNothing, Judge, ReadCandidates, Sample, Sift
from urm_ray.pipeline.attempts import Care
from urm_ray.pipeline.balance import Pools
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.judge_model import judge_model
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.pools import actor_pool, beside, bind, judge_pool
from urm_ray.pipeline.quarantine import quarantined
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stream import LIGHT, stream_units
from urm_ray.pipeline.units import plan
from urm_ray.run_folder import Stage
from urm_ray.secrets import printed
from urm_ray.sources.registry import SourceError
from urm_ray.store import StoreError

AUDIT_COLUMNS = ["dropped", "pairs_asked", "orders_agreed", "first_preferred"]


def generate(run: Run, stage: Stage, task: Task) -> dict[str, Any]:
    """Writes `schema.JUDGED_SET` units: every candidate and every verdict, however pairs are made of them later."""
    config, own, judge = run.config, run.config.policy(task), judge_model(run)
    working = {} if own.candidates_path else {"sampler_pool": own.generate.sampler_pool}
    working |= {"judge_pool": own.generate.judge_pool} if config.pairs.asks else {}
    pools = Pools(stage, working, own.generate.budget)
    dump = config.model_dump()

    judge_digest = schema.digest(config.digest_of("judge"), judge.digest)

    def operators(units: Any, ledger: SharedLedger) -> Any:
        sets = _candidates(run, stage, task, units, ledger, pools)
        if not config.pairs.asks:
            return sets.map_batches(AskNothing(judge_digest), batch_size=1, batch_format="pyarrow", **beside(pools))
        pool = pools["judge_pool"]
        work = bind(
            Judge,
            config=dump,
            path=judge.path,
            judge_digest=judge_digest,
            scales=judge.scales,
            num_cpus=pool.num_cpus,
            care=Care(ledger, pool.row_limit_s),
        )
        return sets.map_batches(
            pools.timed("judge_pool", work),
            batch_size=None,
            batch_format="pyarrow",
            udf_modifying_row_count=False,
            **judge_pool(pool, config.judge),
        )

    prompts = run.finished("prepare", task).units("train_prompts")
    if not prompts:
        raise SourceError(f"{stage.name}: there is no prompt to make candidates for; see prepare.train_prompts")
    busy = stream_units(
        stage.name,
        prompts,
        stage.path("judged"),
        own.generate.unit_rows,
        "prompt_id",
        schema.JUDGED_SET,
        operators,
        put_aside_share=config.run.put_aside_share,
        stage=stage,
        pools=pools,
    )
    need_spread(_rows(stage, "judged", ["point_verdicts", "scale"]))
    write_standings(stage)
    prompts_done = sum(store.row_counts(stage.units("judged")))
    facts = {"prompts": prompts_done, "at_work": busy, "quarantined": quarantined(stage, "judged")}
    return facts | pools.facts()


def _rows(stage: Stage, part: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of a part of a stage, or leaves of them, with a few units in memory at a time."""
    for rows in store.read_ahead(stage.units(part), partial(store.read_leaves, leaves=columns)):
        yield from rows.to_pylist()


def _candidates(run: Run, stage: Stage, task: Task, units: Any, ledger: SharedLedger, pools: Pools) -> Any:
    """Adds the operator that turns units of prompts into candidate sets: sampled by the policy, or read from files."""
    own = run.config.policy(task)
    if own.candidates_path:
        sampler_digest = schema.digest("candidates", fingerprint(own.candidates_path))
        care = Care(ledger, own.generate.sampler_pool.row_limit_s)
        read = ReadCandidates(own.candidates_path, task, sampler_digest, care)
        return units.map_batches(read, batch_size=1, batch_format="pyarrow", **beside(pools))
    pool = pools["sampler_pool"]
    sample = bind(
        Sample,
        config=run.config.model_dump(),
        task=task,
        path=checked(own.path),
        sampler_digest=run.sampler_digest(task, run.model_digest(own.path)),
        count=own.sampler.candidates,
        folder=stage.path("judged"),
        num_cpus=pool.num_cpus,
        care=Care(ledger, pool.row_limit_s),
    )
    return units.map_batches(
        pools.timed("sampler_pool", sample), batch_size=1, batch_format="pyarrow", **actor_pool(pool)
    )


def write_standings(stage: Stage) -> None:
    """Writes `standings.csv` into a stage of judged sets: how each candidate came out, a line each."""
    path = stage.path("standings.csv")
    with store.writing(path) as stream, io.TextIOWrapper(stream, "utf-8", newline="") as text:
        table = csv.DictWriter(text, STANDINGS)
        table.writeheader()
        for row in _rows(stage, "judged", STANDINGS_FROM):
            table.writerows(standings(row))
    print(printed(f"[{stage.name}] scores and places of all candidates: {path}"), flush=True)


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
        lambda units, _: sifted(units, last),
        stage=stage,
    )
    counts = audit(_rows(stage, "sifted", AUDIT_COLUMNS), config.pairs.compares_orders)
    print(f"[{stage.name}] kept {counts['kept']} of {counts['prompts']}, dropped {counts['dropped']}", flush=True)
    if not counts["kept"]:
        raise StoreError(f"{stage.name}: no preference pair was kept, dropped: {counts['dropped']}")
    return {"audit": counts}

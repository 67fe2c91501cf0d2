"""What the driver does by itself in the generate stage, over as many units as a run has: every file is a link to one.

It plans, looks for what is missing, counts rows, looks for quarantined ones, and writes the table of standings.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import Any

import psutil
import pyarrow as pa
from pipelines import TASK, Pipeline, captions
from rounds import Result, spread
from scale import CANDIDATES, ReadyJudge, ReadySample

from urm_ray import schema, store
from urm_ray.pipeline.generate_pairs import write_standings
from urm_ray.pipeline.judge_model import judge_model
from urm_ray.pipeline.quarantine import quarantined
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.units import WriteUnits, file_name, pending, plan
from urm_ray.run_folder import Stage


def benchmark(rounds: int, prompts: int, unit_rows: int, tables: bool, needed: float = 2.5) -> Result:
    """tables: whether standings are written, which is most of it. needed: prompts a second that GPUs make."""
    pipeline = Pipeline(ReadySample, ReadyJudge, captions(unit_rows), unit_rows, candidates=CANDIDATES)
    run = pipeline.run()
    stage = run.stage("generate", TASK)
    unit = _made(run, stage)
    files = _linked(run.stage("prepare", TASK).units("train_prompts")[0], prompts // unit_rows)
    _linked(unit, prompts // unit_rows)
    before, took = psutil.Process().memory_info().rss, dict[str, list[float]]()
    for _ in range(rounds):
        units, seconds = _timed(lambda: plan(files, unit_rows))
        took.setdefault("plan", []).append(seconds)
        work: dict[str, Callable[[], Any]] = {
            "pending": lambda units=units: pending(units, stage.path("judged")),  # type: ignore[misc]
            "rows counted": lambda: sum(store.row_counts(stage.units("judged"))),
            "quarantined": lambda: quarantined(stage, "judged"),
        }
        if tables:
            work["standings"] = lambda: write_standings(stage)
        for name, do in work.items():
            took.setdefault(name, []).append(_timed(do)[1])
    grown = psutil.Process().memory_info().rss - before
    table = stage.path("standings.csv")
    checks = {
        "units": prompts // unit_rows,
        "seconds": {name: spread(each) for name, each in took.items()},
        "driver grew by MiB": round(grown / 2**20, 1),
        "bytes of standings a prompt": store.size_of(table) / prompts if tables else None,
    }
    shutil.rmtree(run.folder.uri)
    rates = [prompts / sum(one) for one in zip(*took.values(), strict=True)]
    return Result("prompts", ("the driver", rates), ("64 GPUs", [needed] * rounds), 100, checks)


def _made(run: Run, stage: Stage) -> str:
    """The file of one unit, made without Ray."""
    judge, dump = judge_model(run), run.config.model_dump()
    units = pa.Table.from_pylist(plan(run.stage("prepare", TASK).units("train_prompts"), 1 << 20))
    folder = stage.path("judged")
    sample = ReadySample(
        config=dump, task=TASK, path="", sampler_digest="made", count=CANDIDATES, folder=folder, num_cpus=1
    )
    ask = ReadyJudge(config=dump, path=judge.path, judge_digest="made", scales=judge.scales, num_cpus=1)
    WriteUnits(folder, "prompt_id", schema.JUDGED_SET)(ask(sample(units)))
    return store.join(folder, file_name(0))


def _linked(file: str, count: int) -> list[str]:
    names = [store.join(os.path.dirname(file), file_name(number)) for number in range(count)]
    for name in names[1:]:
        os.link(file, name)
    return names


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.monotonic()
    return work(), time.monotonic() - start

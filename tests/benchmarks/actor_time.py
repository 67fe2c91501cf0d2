"""What each actor and task of generate and pairs takes for a prompt, with models that take no time and without Ray."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pipelines import TASK, Pipeline, captions
from rounds import Result, spread
from scale import CANDIDATES, AskedJudge, ReadySample

from urm_ray import schema, store
from urm_ray.pipeline.actors import Sift
from urm_ray.pipeline.generate_pairs import write_standings
from urm_ray.pipeline.judge_model import judge_model
from urm_ray.pipeline.units import WriteUnits, plan


def benchmark(rounds: int, prompts: int, unit_rows: int, needed: float = 2.5 / 29) -> Result:
    """needed: prompts a second that one of the GPUs' judges is given."""
    pipeline = Pipeline(ReadySample, AskedJudge, captions(prompts), unit_rows, candidates=CANDIDATES)
    run = pipeline.run()
    stage, judge, dump = run.stage("generate", TASK), judge_model(run), run.config.model_dump()
    folder, files = stage.path("judged"), run.stage("prepare", TASK).units("train_prompts")
    sample = ReadySample(
        config=dump, task=TASK, path="", sampler_digest="made", count=CANDIDATES, folder=folder, num_cpus=1
    )
    ask = AskedJudge(config=dump, path=judge.path, judge_digest="made", scales=judge.scales, num_cpus=1)
    took: dict[str, list[float]] = {}

    def each(name: str, work: Callable[[pa.Table], pa.Table], batches: list[pa.Table]) -> list[pa.Table]:
        start = time.process_time()
        made = [work(batch) for batch in batches]
        took.setdefault(name, []).append(1000 * (time.process_time() - start) / prompts)
        return made

    for _ in range(rounds):
        sets = each("sampler", sample, _units(files, unit_rows))
        judged = each("judge, 20 questions", ask, sets)
        each("writer of judged sets", WriteUnits(folder, "prompt_id", schema.JUDGED_SET, stage="generate"), judged)
        sifted = each("sifting", Sift(dump), _units(stage.units("judged"), unit_rows))
        write = WriteUnits(stage.path("sifted"), "prompt_id", schema.SIFTED_SET, stage="pairs")
        each("writer of sifted sets", write, sifted)
    write_standings(stage)
    units = {part: stage.units(part) for part in ("judged", "sifted")}
    kept = {part: sum(map(store.size_of, files)) / len(files) for part, files in units.items()}
    table = store.size_of(stage.path("standings.csv")) / prompts
    shutil.rmtree(run.folder.uri)
    rates = [1000 / one for one in took["judge, 20 questions"]]
    checks: dict[str, Any] = {
        "prompts": prompts,
        "prompts a unit": unit_rows,
        "files": {part: len(files) for part, files in units.items()},
        "bytes a unit": kept,
        "bytes of standings a prompt": table,
        "CPU ms a prompt": {name: spread(ms) for name, ms in took.items()},
    }
    return Result("prompts", ("a judge's actor", rates), ("what its GPU reads", [needed] * rounds), 100, checks)


def _units(files: list[str], unit_rows: int) -> list[pa.Table]:
    return [pa.Table.from_pylist([unit]) for unit in plan(files, unit_rows)]

"""Runs of the generate stage, whole or cut in two, whose start-up is told apart."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pyarrow as pa

from urm_ray import schema, store
from urm_ray.config import Config
from urm_ray.config_training import Task
from urm_ray.pipeline import generate_pairs
from urm_ray.pipeline.balance import Pools
from urm_ray.pipeline.judge_model import judge_model
from urm_ray.pipeline.pools import actor_pool, bind
from urm_ray.pipeline.run import Run, execute
from urm_ray.pipeline.stream import stream_units
from urm_ray.pipeline.units import read_unit
from urm_ray.run_folder import Stage
from urm_ray.scenes import grammar

TASK: Task = "image_generation"
FILE_ROWS = 1000


@dataclass(frozen=True)
class Took:
    """start_up: seconds until all actors stood. seconds: from then until the stage's manifest was written."""

    rows: int
    start_up: float
    seconds: float

    def __add__(self, other: Took) -> Took:
        return Took(self.rows, self.start_up + other.start_up, self.seconds + other.seconds)


class Gate:
    """Lets actors begin when all of them stand."""

    def __init__(self, actors: int) -> None:
        self.folder, self.actors = tempfile.mkdtemp(), actors

    def arrive(self) -> None:
        Path(self.folder, uuid4().hex).touch()

    def wait(self) -> None:
        while len(os.listdir(self.folder)) < self.actors:
            time.sleep(0.01)

    def opened(self) -> float:
        """When the last one arrived, in seconds since the epoch."""
        return max(os.stat(file).st_mtime for file in Path(self.folder).iterdir())


class Gated:
    """Before an actor's class: waits at a gate before its first batch."""

    gate: Gate

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.gate.arrive()

    def __call__(self, batch: pa.Table) -> pa.Table:
        self.gate.wait()
        return super().__call__(batch)  # type: ignore[misc]


def gated(actor: type, gate: Gate, **attributes: Any) -> type:
    """The actor's class behind a gate, with some attributes."""
    return type(actor.__name__, (Gated, actor), {"gate": gate, **attributes})


@dataclass(frozen=True)
class Pipeline:
    """The generate stage of runs with one sampler class and one judge class, each with so many actors.

    attributes: of both classes. pairs: settings of that section. Every run is in a new folder.
    """

    sample: type
    judge: type
    prompts: list[str]
    unit_rows: int
    actors: int = 1
    num_cpus: float = 0.05
    candidates: int = 2
    attributes: dict[str, Any] | None = None
    pairs: dict[str, Any] | None = None

    def run(self) -> Run:
        """A run whose prompts are prepared."""
        pool = {"actors": self.actors, "num_cpus": self.num_cpus}
        generate = {"unit_rows": self.unit_rows, "sampler_pool": pool, "judge_pool": pool}
        policy = {
            "path": "urm_ray.scenes:checkpoints/text_to_image",
            "sampler": {"candidates": self.candidates, "steps": 10, "batch": 50},
            "generate": generate,
        }
        settings = {
            "run": {"dir": tempfile.mkdtemp()},
            "tasks": [TASK],
            "judge": {"path": "urm_ray.scenes:checkpoints/vlm", "attention": "eager"},
            "pairs": self.pairs or {},
            "policies": {TASK: policy},
        }
        run = Run(Config.model_validate(settings))
        prepared = run.stage("prepare", TASK)
        for number, start in enumerate(range(0, len(self.prompts), FILE_ROWS)):
            rows = [
                {"prompt_id": schema.digest(start + n), "task": TASK, "prompt": prompt, "context": [], "source": "made"}
                for n, prompt in enumerate(self.prompts[start : start + FILE_ROWS])
            ]
            file = prepared.path("train_prompts", f"unit-{number:06d}.parquet")
            store.write_table(file, schema.table_of(rows, schema.PROMPT))
        prepared.finish(0.0)
        return run

    def streamed(self) -> Took:
        """Candidates and verdicts in one execution: the stage as it is."""
        run, gate = self.run(), Gate(2 * self.actors)
        stage = run.stage("generate", TASK)
        attributes = self.attributes or {}
        start = time.time()
        with (
            patch.object(generate_pairs, "Sample", gated(self.sample, gate, **attributes)),
            patch.object(generate_pairs, "Judge", gated(self.judge, gate, **attributes)),
        ):
            execute(run, stage, lambda run, stage: generate_pairs.generate(run, stage, TASK))
        return self._took(gate, start)

    def one_after_the_other(self) -> Took:
        """The same as two stages, each of which writes its units."""
        run = self.run()
        stage = run.stage("generate", TASK)
        return self.sampled(run, stage) + self.judged(run, stage)

    def sampled(self, run: Run, stage: Stage) -> Took:
        """Writes candidate sets alone."""
        gate, sampler = Gate(self.actors), run.config.policy(TASK).generate.sampler_pool
        pools = Pools(stage, {"sampler_pool": sampler}, None)
        start = time.time()
        with patch.object(generate_pairs, "Sample", gated(self.sample, gate, **self.attributes or {})):
            stream_units(
                "candidates",
                run.finished("prepare", TASK).units("train_prompts"),
                stage.path("judged"),
                self.unit_rows,
                "prompt_id",
                schema.CANDIDATE_SET,
                lambda units, ledger: generate_pairs._candidates(run, stage, TASK, units, ledger, pools),
            )
        return self._took(gate, start)

    def judged(self, run: Run, stage: Stage, part: str = "verdicts") -> Took:
        """Writes judged sets of the candidate sets that are there, as a part of the stage."""
        gate, judge, pool = Gate(self.actors), judge_model(run), run.config.policy(TASK).generate.judge_pool
        work = bind(
            gated(self.judge, gate, **self.attributes or {}),
            config=run.config.model_dump(),
            path=judge.path,
            judge_digest=judge.digest,
            scales=judge.scales,
            num_cpus=pool.num_cpus,
        )
        start = time.time()
        stream_units(
            "verdicts",
            stage.units("judged"),
            stage.path(part),
            self.unit_rows,
            "prompt_id",
            schema.JUDGED_SET,
            lambda units, _: units.map_batches(
                read_units, batch_size=1, batch_format="pyarrow", num_cpus=generate_pairs.LIGHT
            ).map_batches(
                work, batch_size=None, batch_format="pyarrow", udf_modifying_row_count=False, **actor_pool(pool)
            ),
        )
        return self._took(gate, start)

    def _took(self, gate: Gate, start: float) -> Took:
        return Took(len(self.prompts), gate.opened() - start, time.time() - gate.opened())


def captions(count: int) -> list[str]:
    """Captions of the embedded world, all different as long as there are any left."""
    known = grammar.captions(False, schema.digest)
    return [known[number % len(known)] for number in range(count)]


def read_units(batch: pa.Table) -> pa.Table:
    return pa.concat_tables([read_unit(unit) for unit in batch.to_pylist()])

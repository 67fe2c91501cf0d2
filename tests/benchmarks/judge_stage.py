"""The judge as a stage of Ray Data with one actor, against the same judge in a loop over the same candidate sets.

Both sides have one thread of torch. Of the stage, what counts is the time from when its actor stands until all verdicts
are written.
"""

from __future__ import annotations

import pyarrow as pa
import torch
from pipelines import TASK, Pipeline, Took, captions
from rounds import Result, Side, in_turns, spread

from urm_ray import schema, store
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.models import resolve
from urm_ray.pairs.ranking import adjacent, asked_orders
from urm_ray.pipeline.actors import Judge, Sample
from urm_ray.pipeline.context import connect

ASKED = ["task", "prompt", "context", "candidates"]


class Sides:
    def __init__(self, prompts: int, candidates: int) -> None:
        torch.set_num_threads(1)
        connect()
        self.pipeline = Pipeline(Sample, Judge, captions(prompts), unit_rows=10, num_cpus=0.8, candidates=candidates)
        self.run = self.pipeline.run()
        self.stage = self.run.stage("generate", TASK)
        self.pipeline.sampled(self.run, self.stage)
        self.sets = self.stage.rows("judged", ASKED).to_pylist()
        config = self.run.config
        self.scorer = JudgeScorer.load(resolve(config.judge.path), config.judge)
        self.orders = asked_orders(adjacent(candidates), config.pairs.both_orders)
        self.took: list[Took] = []
        self.looped: list[dict] = []

    def staged(self) -> tuple[float, float]:
        self.took.append(self.pipeline.judged(self.run, self.stage, f"round-{len(self.took)}"))
        return self.took[-1].rows, self.took[-1].seconds

    def loop(self) -> float:
        self.looped = [self.scorer.judge_set(row, self.orders) for row in self.sets]
        return len(self.looped)

    def same(self) -> bool:
        """AssertionError unless the verdicts of both sides are the same."""
        columns = ["pair_verdicts", "point_verdicts", "scale"]
        fields = [schema.JUDGED_SET.field(name) for name in columns]
        staged = [pa.concat_tables(map(store.read_table, self.stage.units(f"round-{len(self.took) - 1}")))]
        found = schema.table_of(self.looped, pa.schema(fields))
        assert staged[0].select(columns).equals(found)
        return True


def benchmark(rounds: int, prompts: int, candidates: int = 10) -> Result:
    sides = Sides(prompts, candidates)
    return in_turns(
        Side("a stage of Ray Data, one actor", sides.staged),
        Side("a loop over the candidate sets", sides.loop),
        rounds,
        "prompts",
        target=0.92,
        prompts=prompts,
        candidates=candidates,
        same_verdicts=sides.same,
        seconds_to_start_the_stage=lambda: spread([took.start_up for took in sides.took[1:]]),
    )

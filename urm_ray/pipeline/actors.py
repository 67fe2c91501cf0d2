"""What runs on each batch of rows: samplers and judges as Ray Data actors, sifting as a task."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from urm_ray import schema
from urm_ray.config import Config
from urm_ray.pipeline.pools import use_threads


def _extend(batch: pa.Table, rows: list[dict[str, Any]], fields: list[pa.Field]) -> pa.Table:
    for field in fields:
        batch = batch.append_column(field, pa.array([row[field.name] for row in rows], field.type))
    return batch


class Sample:
    """Adds `candidates` and `sampler_digest` to prompt rows.

    A prompt's candidates are always made together, so that a picture's bytes never depend on how rows were batched.
    """

    def __init__(self, config: dict[str, Any], path: str, sampler_digest: str, count: int, num_cpus: float) -> None:
        from urm_ray.candidates.image import ImageSampler

        use_threads(num_cpus)
        settings = Config(**config)
        self.sampler = ImageSampler(path, settings.sampler, settings.policy.dtype, settings.policy.device)
        self.seed, self.count, self.digest = settings.run.seed, count, sampler_digest

    def __call__(self, batch: pa.Table) -> pa.Table:
        from urm_ray.candidates.image import seeds

        rows = []
        for row in batch.select(["prompt_id", "prompt"]).to_pylist():
            requests = [(row["prompt"], seed) for seed in seeds(self.seed, row["prompt_id"], self.count)]
            rows.append({"candidates": self.sampler.sample(requests), "sampler_digest": self.digest})
        return _extend(batch, rows, [schema.CANDIDATE_SET.field(n) for n in ("candidates", "sampler_digest")])


class Judge:
    """Adds the verdict columns of `schema.JUDGED_SET` to candidate sets."""

    def __init__(self, config: dict[str, Any], path: str, judge_digest: str, num_cpus: float, rank: bool = True) -> None:
        from urm_ray.judge.engine import TransformersEngine
        from urm_ray.judge.protocol import protocol
        from urm_ray.judge.scorer import JudgeScorer

        use_threads(num_cpus)
        self.config = Config(**config)
        judge = self.config.judge
        engine = TransformersEngine(path, judge.dtype, batch=judge.batch)
        self.scorer = JudgeScorer(engine, protocol(judge.protocol), judge.min_mass)
        self.digest, self.rank = judge_digest, rank

    def __call__(self, batch: pa.Table) -> pa.Table:
        from urm_ray.pairs.ranking import POLICIES, asked_orders

        rows = []
        for row in batch.select(["task", "prompt", "candidates"]).to_pylist():
            pairs = POLICIES[self.config.pairs.ranking](len(row["candidates"])) if self.rank else []
            verdicts = self.scorer.judge_set(row, asked_orders(pairs, self.config.pairs.both_orders))
            rows.append({**verdicts, "judge_digest": self.digest})
        return _extend(batch, rows, list(schema.JUDGED_SET)[len(schema.CANDIDATE_SET) :])


class Sift:
    """Adds the pair columns of `schema.SIFTED_SET` to judged sets."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = Config(**config).pairs

    def __call__(self, batch: pa.Table) -> pa.Table:
        from urm_ray.pairs.sifting import sift

        rows = [sift(row, self.config) for row in batch.select(schema.JUDGED_SET.names).to_pylist()]
        return _extend(batch, rows, list(schema.SIFTED_SET)[len(schema.JUDGED_SET) :])


class Score:
    """Adds the figures of an independent scorer as a column of (candidate, figure, value) rows."""

    FIELD = pa.field("figures", pa.list_(pa.struct([("index", pa.int32()), ("name", pa.string()), ("value", pa.float32())])))

    def __init__(self, config: dict[str, Any]) -> None:
        from urm_ray.evaluation.scorer import load_scorer

        self.scorer = load_scorer(Config(**config).evaluate.scorer)

    def __call__(self, batch: pa.Table) -> pa.Table:
        from urm_ray.evaluation.scorer import figures_of

        rows = [{"figures": figures_of(self.scorer, row)} for row in batch.select(["prompt", "candidates"]).to_pylist()]
        return _extend(batch, rows, [self.FIELD])

"""What runs on each batch of rows: samplers and judges as Ray Data actors, sifting as a task."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray import schema, store
from urm_ray.config import Config, Task
from urm_ray.pipeline.pools import use_threads
from urm_ray.pipeline.units import done_ids, mark_unit, read_unit


def _extend(batch: pa.Table, rows: list[dict[str, Any]], fields: list[pa.Field]) -> pa.Table:
    for field in fields:
        batch = batch.append_column(field, pa.array([row[field.name] for row in rows], field.type))
    return batch


class Sample:
    """Turns units of prompts into `schema.CANDIDATE_SET` rows.

    The candidates of a unit are made in the same batches in every run, restarts included: how one is rounded may depend
    on what else is in its batch, and equal settings must give equal bytes.
    """

    def __init__(
        self,
        config: dict[str, Any],
        task: Task,
        path: str,
        sampler_digest: str,
        count: int,
        folder: str,
        num_cpus: float,
    ) -> None:
        from urm_ray.candidates.samplers import load_sampler

        use_threads(num_cpus)
        settings = Config(**config)
        self.task, self.policy = task, settings.policy(task)
        self.sampler = load_sampler(task, path, self.policy)
        self.seed, self.count, self.digest, self.folder = settings.run.seed, count, sampler_digest, folder

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables([self._unit(unit) for unit in batch.to_pylist()])

    def _unit(self, unit: dict[str, Any]) -> pa.Table:
        from urm_ray.candidates.image import seeds
        from urm_ray.candidates.samplers import asked_of

        rows = read_unit(unit)
        done = done_ids(self.folder, unit["unit"], "prompt_id")
        ids = rows["prompt_id"].to_pylist()
        columns = rows.select(["prompt", "context"])
        asked = [asked_of(self.task, row, self.policy) for row in columns.to_pylist()]
        requests = [(a, seed) for i, a in zip(ids, asked, strict=True) for seed in seeds(self.seed, i, self.count)]
        wanted = [i not in done for i in ids for _ in range(self.count)]
        made = self.sampler.sample(requests, wanted)
        sets = [
            {
                "candidates": [{**c, "index": k} for k, c in enumerate(made[n : n + self.count])],
                "sampler_digest": self.digest,
            }
            for n in range(0, len(made), self.count)
        ]
        keep = [n for n, i in enumerate(ids) if i not in done]
        fields = [schema.CANDIDATE_SET.field(name) for name in ("candidates", "sampler_digest")]
        return _extend(rows.take(pa.array(keep, pa.int64())), [sets[n] for n in keep], fields)


class Judge:
    """Adds the verdict columns of `schema.JUDGED_SET` to candidate sets. scales: of `mix_report.learned_scales`."""

    def __init__(
        self,
        config: dict[str, Any],
        path: str,
        judge_digest: str,
        scales: dict[str, str],
        num_cpus: float,
        rank: bool = True,
    ) -> None:
        from urm_ray.judge.scorer import JudgeScorer

        use_threads(num_cpus)
        self.config = Config(**config)
        self.scorer = JudgeScorer.load(path, self.config.judge, scales=scales)
        self.digest, self.rank = judge_digest, rank

    def __call__(self, batch: pa.Table) -> pa.Table:
        from urm_ray.pairs.ranking import POLICIES, asked_orders

        rows = []
        for row in batch.select(["task", "prompt", "context", "candidates"]).to_pylist():
            pairs = POLICIES[self.config.pairs.ranking](len(row["candidates"])) if self.rank else []
            verdicts = self.scorer.judge_set(row, asked_orders(pairs, self.config.pairs.both_orders))
            rows.append({**verdicts, "judge_digest": self.digest})
        return _extend(batch, rows, list(schema.JUDGED_SET)[len(schema.CANDIDATE_SET) :])


class Sift:
    """Turns units of judged sets into `schema.SIFTED_SET` rows. last: of `pairs.sifting.last_place`."""

    def __init__(self, config: dict[str, Any], last: str | None = None) -> None:
        self.config, self.last = Config(**config).pairs, last

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables([self._unit(unit) for unit in batch.to_pylist()])

    def _unit(self, unit: dict[str, Any]) -> pa.Table:
        from urm_ray.pairs.sifting import sift, within

        rows = store.read_table(unit["file"], schema.JUDGED_SET.names).slice(unit["start"], unit["rows"]).to_pylist()
        sifted = [row | within(sift(row, self.config), row["prompt_id"], self.last) for row in rows]
        return mark_unit(schema.table_of(sifted, schema.SIFTED_SET), unit)


class Score:
    """Adds the figures of an independent scorer as a column of (candidate, figure, value) rows."""

    FIELD = pa.field(
        "figures", pa.list_(pa.struct([("index", pa.int32()), ("name", pa.string()), ("value", pa.float32())]))
    )

    def __init__(self, scorer: str) -> None:
        from urm_ray.evaluation.scorer import load_scorer

        self.scorer = load_scorer(scorer)

    def __call__(self, batch: pa.Table) -> pa.Table:
        from urm_ray.evaluation.scorer import figures_of

        columns = ["prompt", "context", "candidates"]
        rows = [{"figures": figures_of(self.scorer, row)} for row in batch.select(columns).to_pylist()]
        return _extend(batch, rows, [self.FIELD])


class Reference:
    """Adds the `schema.REFERENCE` columns to the pairs of units of sifted sets; a dropped row is unfit."""

    def __init__(self, config: dict[str, Any], task: Task, path: str, reference_digest: str, num_cpus: float) -> None:
        from urm_ray.training.logps import ReferenceLogps

        use_threads(num_cpus)
        policy = Config(**config).policy(task)
        self.reference = ReferenceLogps(path, policy.vlm_dpo, reference_digest, policy.clips, policy.device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables([self._unit(unit) for unit in batch.to_pylist()])

    def _unit(self, unit: dict[str, Any]) -> pa.Table:
        rows = read_unit(unit, [*schema.ANSWER_PAIR.names[: -len(schema.REFERENCE)], "dropped"])
        kept = pc.is_null(rows["dropped"])
        dropped = rows.filter(pc.invert(kept))
        nothing = dict.fromkeys(schema.REFERENCE.names)
        unfit = [nothing | {"unfit": reason} for reason in dropped["dropped"].to_pylist()]
        made = pa.concat_tables([self.reference(rows.filter(kept)), _extend(dropped, unfit, list(schema.REFERENCE))])
        return made.drop_columns(["dropped"])


class Encode:
    """Turns units of sifted sets into `schema.ENCODED_PAIR` rows of the same units."""

    def __init__(self, config: dict[str, Any], task: Task, path: str, num_cpus: float) -> None:
        from urm_ray.training.encode_pairs import COLUMNS, EncodePairs

        use_threads(num_cpus)
        settings = Config(**config)
        policy = settings.policy(task)
        self.encode = EncodePairs(path, policy.dpo, settings.run.seed, device=policy.device)
        self.columns = COLUMNS

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables(
            [mark_unit(self.encode(read_unit(unit, self.columns)), unit) for unit in batch.to_pylist()]
        )

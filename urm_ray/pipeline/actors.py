"""What runs on each batch of rows: samplers and judges as Ray Data actors, sifting as a task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from urm_ray import schema, store
from urm_ray.config import Config
from urm_ray.config_training import Task
from urm_ray.pipeline.attempts import Attempts, Care
from urm_ray.pipeline.pools import use_threads
from urm_ray.pipeline.units import done_ids, extend, mark_unit, read_unit


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
        care: Care | None = None,
    ) -> None:
        from urm_ray.candidates.samplers import load_sampler

        use_threads(num_cpus)
        self.attempts = Attempts("sampling", care)
        settings = Config(**config)
        self.task, self.policy = task, settings.policy(task)
        self.sampler = load_sampler(task, path, self.policy)
        self.spent = getattr(self.sampler, "spent", None)
        self.seed, self.count, self.digest, self.folder = settings.run.seed, count, sampler_digest, folder

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables([self._unit(unit) for unit in batch.to_pylist()])

    def _unit(self, unit: dict[str, Any]) -> pa.Table:
        rows = read_unit(unit)
        done = done_ids(self.folder, unit["unit"], "prompt_id")
        prompts = rows.select(["prompt_id", "prompt", "context"]).to_pylist()
        made = self.attempts.together(
            f"unit {unit['unit']}", len(rows), partial(self._joint, prompts, done), partial(self._each, prompts, done)
        )
        keep = [n for n, row in enumerate(prompts) if row["prompt_id"] not in done]
        sets = [
            {
                "candidates": [{**c, "index": k} for k, c in enumerate(made[n * self.count : (n + 1) * self.count])],
                "sampler_digest": self.digest,
            }
            for n in keep
        ]
        fields = [schema.CANDIDATE_SET.field(name) for name in ("candidates", "sampler_digest")]
        return extend(rows.take(pa.array(keep, pa.int64())), sets, fields)

    def _joint(self, prompts: list[dict[str, Any]], done: set[str], aside: dict[str, str]) -> list[dict[str, Any]]:
        """All candidates of a unit. Another prompt takes the place of one that is put aside, so that the batches of the
        others stay as they are."""
        able = [row for row in prompts if row["prompt_id"] not in aside]
        if not able:
            return [self._failed(row, seed, aside) for row in prompts for seed in self._seeds(row)]
        stand_in = able[0]
        requests, wanted = [], []
        for row in prompts:
            put_aside = row["prompt_id"] in aside
            asked = self._asked(stand_in if put_aside else row)
            requests += [(asked, seed) for seed in self._seeds(row)]
            wanted += [not put_aside and row["prompt_id"] not in done] * self.count
        made = self.sampler.sample(requests, wanted)
        owners = [row for row in prompts for _ in range(self.count)]
        return [
            self._failed(row, seed, aside) if row["prompt_id"] in aside else candidate
            for row, (_, seed), candidate in zip(owners, requests, made, strict=True)
        ]

    def _each(self, prompts: list[dict[str, Any]], done: set[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
        for row in prompts:
            if row["prompt_id"] not in done:
                yield row["prompt_id"], partial(self._alone, row)

    def _alone(self, row: dict[str, Any]) -> None:
        asked = self._asked(row)
        self.sampler.sample([(asked, seed) for seed in self._seeds(row)])

    def _asked(self, row: dict[str, Any]) -> Any:
        from urm_ray.candidates.samplers import asked_of

        return asked_of(self.task, row, self.policy)

    def _seeds(self, row: dict[str, Any]) -> list[int]:
        from urm_ray.candidates.image import seeds

        return seeds(self.seed, row["prompt_id"], self.count)

    @staticmethod
    def _failed(row: dict[str, Any], seed: int, aside: dict[str, str]) -> dict[str, Any]:
        return {"seed": seed, "media": None, "text": None, "error": aside[row["prompt_id"]]}


class ReadCandidates:
    """Turns units of prompts into `schema.CANDIDATE_SET` rows with candidates that are there already."""

    def __init__(self, path: str, task: Task, sampler_digest: str, care: Care | None = None) -> None:
        self.path, self.task, self.digest = path, task, sampler_digest
        self.attempts = Attempts("reading candidates", care)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables([self._unit(unit) for unit in batch.to_pylist()])

    def _unit(self, unit: dict[str, Any]) -> pa.Table:
        from urm_ray.sources.candidates import candidate_file

        rows, file = read_unit(unit), candidate_file(self.path, self.task)
        ids = rows["prompt_id"].to_pylist()
        read = [self.attempts.each(i, partial(file.of, i), partial(file.unread, i)) for i in ids]
        sets = [{"candidates": candidates, "sampler_digest": self.digest} for candidates in read]
        return extend(rows, sets, [schema.CANDIDATE_SET.field(name) for name in ("candidates", "sampler_digest")])


class Judge:
    """Adds the verdict columns of `schema.JUDGED_SET` to candidate sets. scales: of `mix_report.learned_scales`. rank:
    asks what `pairs` says, else about each candidate by itself."""

    def __init__(
        self,
        config: dict[str, Any],
        path: str,
        judge_digest: str,
        scales: dict[str, str],
        num_cpus: float,
        rank: bool = True,
        care: Care | None = None,
    ) -> None:
        from urm_ray.judge.scorer import JudgeScorer

        use_threads(num_cpus)
        self.attempts = Attempts("judging", care)
        self.config = Config(**config)
        self.scorer = JudgeScorer.load(path, self.config.judge, scales=scales)
        self.spent = self.scorer.spent
        self.digest, self.rank = judge_digest, rank

    def __call__(self, batch: pa.Table) -> pa.Table:
        rows = []
        # One prompt's media in memory at a time, whatever the batch holds.
        for prompt in batch.select(["prompt_id", "task", "prompt", "context", "candidates"]).to_batches(
            max_chunksize=1
        ):
            row = prompt.to_pylist()[0]
            said = self.attempts.each(row["prompt_id"], partial(self._said, row), partial(self._unsaid, row))
            rows.append({**said, "judge_digest": self.digest})
        return extend(batch, rows, list(schema.JUDGED_SET)[len(schema.CANDIDATE_SET) :])

    def _said(self, row: dict[str, Any]) -> dict[str, Any]:
        return self._columns(self.scorer.sit(row))

    def _unsaid(self, row: dict[str, Any], reason: str) -> dict[str, Any]:
        return self._columns(self.scorer.sit_out(row, reason))

    def _columns(self, sitting: Any) -> dict[str, Any]:
        from urm_ray.pairs.asking import interview

        if self.rank:
            interview(sitting, self.config.pairs)
        else:
            sitting.ask([], sitting.indices)
        return sitting.columns()


class AskNothing:
    """As `Judge`, where nothing is to be asked: candidate sets become `schema.JUDGED_SET` rows without a verdict."""

    def __init__(self, judge_digest: str) -> None:
        self.row: dict[str, Any] = {
            "pair_verdicts": [],
            "point_verdicts": [],
            "scale": None,
            "judge_digest": judge_digest,
        }

    def __call__(self, batch: pa.Table) -> pa.Table:
        return extend(batch, [self.row] * len(batch), list(schema.JUDGED_SET)[len(schema.CANDIDATE_SET) :])


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
    """Adds the figures of an independent scorer as a column of (candidate, figure, value) rows, and why a prompt could
    not be scored."""

    FIELDS = (
        pa.field(
            "figures", pa.list_(pa.struct([("index", pa.int32()), ("name", pa.string()), ("value", pa.float32())]))
        ),
        pa.field("unscored", pa.string()),  # null where the scorer did its work
    )

    def __init__(self, scorer: str, model: str = "", care: Care | None = None) -> None:
        from urm_ray.evaluation.scorer import load_scorer

        self.attempts = Attempts("scoring", care)
        self.scorer = load_scorer(scorer, model)

    def __call__(self, batch: pa.Table) -> pa.Table:
        from urm_ray.evaluation.scorer import figures_of

        def scored(row: dict[str, Any]) -> dict[str, Any]:
            return {"figures": figures_of(self.scorer, row), "unscored": None}

        columns = ["prompt_id", "prompt", "context", "candidates"]
        found = [
            self.attempts.each(row["prompt_id"], partial(scored, row), self._unscored)
            for row in batch.select(columns).to_pylist()
        ]
        return extend(batch, found, list(self.FIELDS))

    @staticmethod
    def _unscored(reason: str) -> dict[str, Any]:
        return {"figures": [], "unscored": reason}

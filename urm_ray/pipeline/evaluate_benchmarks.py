"""Judges on published benchmarks: what they say to every item, and the figures of it.

    OUT/<judge>-<benchmark>-<digest>/predictions/unit-000000.parquet, ...   `schema.PREDICTION` rows
    OUT/<judge>-<benchmark>-<digest>/quarantine/...                         records that could not be used
    OUT/<judge>-<benchmark>-<digest>/manifest.json                          written last: all items are answered
    OUT/results.json, results.md, results.tex, categories.md                figures of all that is in OUT

Figures are taken from the predictions alone, so that they can be measured again without a model.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from urm_ray import store
from urm_ray.config_benchmarks import BenchmarkConfig
from urm_ray.config_policy import essential
from urm_ray.file_systems import name_of
from urm_ray.fingerprint import fingerprint
from urm_ray.judge.protocol import protocol
from urm_ray.models import checked
from urm_ray.pipeline.ask_benchmarks import PREDICTIONS, QUARANTINE, AskUnits, Errand
from urm_ray.pipeline.attempts import Care
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.counts import of_row
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.placement import need_pools
from urm_ray.pipeline.pools import bind, judge_pool
from urm_ray.pipeline.progress import Progress
from urm_ray.pipeline.units import pending
from urm_ray.reward_benchmarks.comparison import Benchmark, Measuring
from urm_ray.reward_benchmarks.registry import benchmark, data_digest, locate
from urm_ray.reward_benchmarks.results import measured
from urm_ray.reward_benchmarks.tables import as_latex, as_markdown, categories
from urm_ray.run_folder import RunFolder, Stage
from urm_ray.schema import digest

FORMAT = 1
"""Raised when a judge would be asked something else under the same settings."""
RESULTS = "results.json"
_NO_NAME = re.compile(r"[^\w.-]+")
_OF_FIGURES = ("path", "resamples")
"""Settings of a judge that are not of what it is asked."""
Part = tuple[int, dict[str, Any], int | None]
"""The number of a unit, the reader's own unit, and how many of its records are read; None for all."""


@dataclass(frozen=True)
class Trial:
    """One judge on one benchmark. facts: what its manifest says of it."""

    name: str
    kind: type[Benchmark]
    records: str
    media: str
    stage: Stage
    facts: dict[str, Any]


def evaluate_benchmarks(config: BenchmarkConfig, folder: RunFolder) -> list[dict[str, Any]]:
    """Asks each judge about each benchmark, unless that is done, and writes the figures of all that is in the folder.

    SourceError for benchmarks that are not there and StoreError for judges that are not, before anything is asked.
    """
    for label, path, trials in _planned(config, folder):
        _ask(config, label, path, [trial for trial in trials if not trial.stage.done])
    return write_results(folder, Measuring(config.seed, config.judge.resamples, config.judgements))


def plan_benchmarks(config: BenchmarkConfig, folder: RunFolder) -> list[str]:
    """A line for each judge and benchmark: whether it is done, and its folder."""
    trials = [trial for *_, trials in _planned(config, folder) for trial in trials]
    return [f"{t.stage.name:50} {'done' if t.stage.done else 'to do':6} {t.stage.uri}" for t in trials]


def _planned(config: BenchmarkConfig, folder: RunFolder) -> list[tuple[str, str, list[Trial]]]:
    """(name, checkpoint, trials) of each judge."""
    kinds = {name: benchmark(name) for name in config.benchmarks}
    places = {name: locate(kind, config.benchmarks[name]) for name, kind in kinds.items()}
    for name, (records, _) in places.items():
        kinds[name](records)  # the first look at its files: none of them is missing
    data = {name: data_digest(*found) for name, found in places.items()}
    forms = protocol(config.judge.protocol)
    forms.need_readout(config.judge.readout)
    words = forms.digest
    settings = {name: value for name, value in essential(config.judge).items() if name not in _OF_FIGURES}
    planned = []
    for label, path in config.judges.items():
        checkpoint = checked(path)
        known = fingerprint(checkpoint)
        trials = []
        for name, kind in kinds.items():
            asked = settings, words, config.points, config.limit, config.unit_rows
            facts = {"judge": label, "path": path, "benchmark": name, "judge_digest": known, "data_digest": data[name]}
            stage = folder.stage(f"{label}-{_NO_NAME.sub('-', name)}", digest(FORMAT, known, data[name], name, asked))
            trials.append(
                Trial(name, kind, *places[name], stage, facts | {"settings": settings, "limit": config.limit})
            )
        planned.append((label, checkpoint, trials))
    return planned


def _errands(trial: Trial, config: BenchmarkConfig) -> list[dict[str, Any]]:
    """Units of a benchmark, each whole; with a limit those that come first by a hash of their number, and of the last
    one its first records."""
    reader = trial.kind(trial.records)
    parts: list[Part] = [(number, part, None) for number, part in enumerate(reader.units(config.unit_rows))]
    if config.limit is not None:
        parts = _limited(reader, parts, config.limit)
    errands = []
    for number, part, take in parts:
        places = trial.name, trial.records, trial.media, trial.stage.uri
        errand = Errand(*places, number, part, take, config.points, config.unit_rows)
        errands.append({"unit": number, **errand.row()})
    return errands


def _limited(reader: Benchmark, parts: Sequence[Part], limit: int) -> list[Part]:
    """The parts that together have `limit` records, or all."""
    taken: list[Part] = []
    for number, part, _ in sorted(parts, key=lambda one: digest("limit", one[0])):
        if limit > 0:
            size = sum(1 for _ in reader.items(part))
            taken.append((number, part, min(limit, size)))
            limit -= size
    return sorted(taken, key=lambda one: one[0])


def _ask(config: BenchmarkConfig, label: str, checkpoint: str, trials: Sequence[Trial]) -> None:
    """Puts one judge to benchmarks, its model being loaded once."""
    units = {trial.stage.uri: _errands(trial, config) for trial in trials}
    todo = [unit for trial in trials for unit in pending(units[trial.stage.uri], trial.stage.path(PREDICTIONS))]
    started = time.monotonic()
    if todo:
        connect()
        progress = Progress(f"benchmarks: {label}", len(todo), unit="units")
        pool = config.judge.actors
        need_pools(label, {"judge.actors": pool})
        care = Care(SharedLedger(label, len(todo) * config.unit_rows, config.put_aside_share), pool.row_limit_s)
        work = bind(AskUnits, config=config.judge.model_dump(), path=checkpoint, num_cpus=pool.num_cpus, care=care)
        asked = ray.data.from_items(todo, override_num_blocks=len(todo)).map_batches(
            work, batch_size=1, batch_format="pyarrow", **judge_pool(pool, config.judge)
        )
        for report in asked.iter_rows():
            progress.add(1, of_row(report))
        progress.show()
    seconds = time.monotonic() - started
    for trial in trials:
        trial.stage.finish(seconds, finished=time.time(), **trial.facts)


def write_results(folder: RunFolder, how: Measuring) -> list[dict[str, Any]]:
    """Measures the trials in a folder, of each judge and benchmark the last one that was finished, and writes the
    results and their tables. StoreError where there is none."""
    latest: dict[tuple[str, str], tuple[Stage, dict[str, Any]]] = {}
    for stage in folder.stages():
        facts = stage.manifest()
        key = facts.get("judge", ""), facts.get("benchmark", "")
        if stage.units(PREDICTIONS) and (key not in latest or latest[key][1]["finished"] < facts["finished"]):
            latest[key] = stage, facts
    results = []
    for stage, facts in latest.values():
        rows, aside = (stage.rows(part).to_pylist() if stage.units(part) else [] for part in (PREDICTIONS, QUARANTINE))
        found = measured(benchmark(facts["benchmark"]), rows, aside, how, facts["limit"] is not None)
        label = facts["benchmark"].partition("@")[2]
        title = {"title": f"{found['title']}, {label}"} if label else {}
        shown = {name: facts[name] for name in _SHOWN} | {"folder": name_of(stage.uri)}
        results.append(shown | found | title)
    if not results:
        raise store.StoreError(f"{folder.uri} holds no predictions: name judges and benchmarks first")
    store.write_json(store.join(folder.uri, RESULTS), {"measuring": how.__dict__, "results": results})
    texts = {"results.md": as_markdown(results), "results.tex": as_latex(results), "categories.md": categories(results)}
    for name, text in texts.items():
        store.write_bytes(store.join(folder.uri, name), text.encode())
    return results


_SHOWN = ("judge", "path", "benchmark", "limit", "settings")

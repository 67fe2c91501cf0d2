"""What a worker does of a benchmark: reads a unit, puts it to the judge and writes what the judge said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import pyarrow as pa

from urm_ray import schema, store
from urm_ray.config import JudgeConfig
from urm_ray.evaluation.calls import OVERALL
from urm_ray.pipeline.attempts import Attempts, Care
from urm_ray.pipeline.counts import Counts, noted, verdicts_in
from urm_ray.pipeline.pools import use_threads
from urm_ray.pipeline.quarantine import put_aside
from urm_ray.pipeline.units import file_name
from urm_ray.reward_benchmarks.comparison import Benchmark, Comparison
from urm_ray.reward_benchmarks.registry import benchmark
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.registry import Rejected

PREDICTIONS, QUARANTINE = "predictions", "quarantine"


@dataclass(frozen=True)
class Errand:
    """A unit of a benchmark. records, media: where they lie. folder: of what is written. part: the reader's own unit.
    take: how many of its records are read. points: as `BenchmarkConfig.points`. rows: how many records a unit has at
    most."""

    name: str
    records: str
    media: str
    folder: str
    unit: int
    part: dict[str, Any]
    take: int | None
    points: bool | None
    rows: int

    def row(self) -> dict[str, str]:
        return {"errand": json.dumps(asdict(self))}


class AskUnits:
    """Does errands with one judge, and returns for each how many items were asked about, with `pipeline.counts`."""

    def __init__(self, config: dict[str, Any], path: str, num_cpus: float, care: Care | None = None) -> None:
        from urm_ray.judge.scorer import JudgeScorer

        use_threads(num_cpus)
        self.attempts = Attempts("judging", care)
        self.scorer = JudgeScorer.load(path, JudgeConfig(**config))
        self.spent = self.scorer.spent

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables([self.work(Errand(**json.loads(text))) for text in batch["errand"].to_pylist()])

    def work(self, errand: Errand) -> pa.Table:
        name = f"{errand.name} unit {errand.unit}"
        return self.attempts.together(name, errand.rows, partial(self._joint, errand), partial(self._each, errand))

    def _each(self, errand: Errand) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Every item by itself: an item that the judge fails at keeps no other from its answers."""
        for item in self._items(errand):
            if not isinstance(item, Rejected):
                yield f"{errand.name} {item.item_id}", partial(self._asking(errand), [item])

    def _joint(self, errand: Errand, unable: dict[str, str]) -> pa.Table:
        reasons = {key.removeprefix(f"{errand.name} "): reason for key, reason in unable.items()}
        rows, aside = self._asking(errand)(self._items(errand), reasons)
        # What was put aside goes first: the unit's own file is what makes it done.
        place = store.join(errand.folder, QUARANTINE, file_name(errand.unit))
        put_aside(place, [{**r.__dict__, "stage": errand.name} for r in aside])
        table = schema.table_of(rows, schema.PREDICTION)
        store.write_table(store.join(errand.folder, PREDICTIONS, file_name(errand.unit)), table)
        counts = verdicts_in(table) + Counts({("put_aside", "item"): len(aside)})
        return noted(pa.table({"rows": [len(rows)]}), "counts", counts)

    def _items(self, errand: Errand) -> Iterator[Comparison | Rejected]:
        return islice(_reader(errand.name, errand.records).items(errand.part), errand.take)

    def _asking(self, errand: Errand) -> Callable[..., tuple[list[dict[str, Any]], list[Rejected]]]:
        from urm_ray.reward_benchmarks.ask import AskBenchmark

        reader = _reader(errand.name, errand.records)
        dimensions = reader.dimensions or {OVERALL: ()}
        asked = dimensions if (bool(reader.dimensions) if errand.points is None else errand.points) else {}
        return AskBenchmark(self.scorer, _media(errand.media), reader.places, asked)


@lru_cache(maxsize=4)
def _reader(name: str, path: str) -> Benchmark:
    return benchmark(name)(path)


@lru_cache(maxsize=4)
def _media(path: str) -> MediaFolder:
    return MediaFolder(path)

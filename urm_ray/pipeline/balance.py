"""Sizes of the pools of a stage that share a budget.

A stage's first units are done by pools of equal sizes, whose actors note how long each call takes them. From that
follows how the budget is split so that no pool waits for another; the other units are done by pools of those sizes.
What was measured stays in the stage's folder, so that a run that was killed does not measure again. Units are the
same rows whatever the sizes, so nothing that is written depends on them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pyarrow as pa
import ray

from urm_ray import store
from urm_ray.config_training import BudgetConfig, PoolConfig
from urm_ray.pipeline.context import beside_driver
from urm_ray.run_folder import Stage
from urm_ray.schema import digest

CALLS = 3
"""Calls of each actor, about, that are measured."""
WORTH = 2
"""A stage is measured that has so many times the units that it is measured at."""

Call = tuple[str, str, float, float, int]
"""(pool, actor, start, end, rows that came of it), in seconds of the actor's own clock."""


class Pools(Mapping[str, PoolConfig]):
    """The pools of a stage by name, each with the size that stands at the time.

    budget: what they share; None leaves all as they are configured.
    """

    def __init__(self, stage: Stage, pools: dict[str, PoolConfig], budget: BudgetConfig | None) -> None:
        self.stage, self.budget, self.file = stage, budget, stage.path("rates.json")
        self.shared = {name: pool for name, pool in pools.items() if budget and budget.cost(pool)}
        self._pools, self._seconds = dict(pools), dict[str, float]()
        self._notes: Any = None

    def __getitem__(self, name: str) -> PoolConfig:
        return self._pools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)

    def timed(self, name: str, actor: type) -> type:
        """The class of a pool's actors (`pools.bind`), which note their calls while the stage is measured."""
        if self._notes is None or name not in self.shared:
            return actor
        notes = self._notes

        class Timed(actor):
            def __init__(self) -> None:
                super().__init__()
                self._number = uuid4().hex

            def __call__(self, batch: pa.Table) -> pa.Table:
                start = time.monotonic()
                made = super().__call__(batch)
                notes.note.remote((name, self._number, start, time.monotonic(), len(made)))
                return made

        Timed.__name__ = Timed.__qualname__ = actor.__name__
        return Timed

    def rounds(self, units: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        """The units in the parts in which they are done, each by pools of the sizes that stand then."""
        if self.budget is None or not self.shared:
            yield units
            return
        even = dict.fromkeys(self.shared, 1.0)
        known = even if len(self.shared) == 1 else self._known()
        if known is None:
            sizes = self._resize(even)
            first = CALLS * max(sizes.values())
            if len(units) < WORTH * first:
                self._say(f"too few units to measure the pools that share {self._total}, in actors: {_listed(sizes)}")
                yield units
                return
            self._notes = _notes()
            yield units[:first]
            known = seconds_a_row(ray.get(self._notes.all.remote()))
            units, self._notes = units[first:], None
            if known.keys() != self.shared.keys():  # a pool whose rows had all been done before
                yield units
                return
            store.write_json(self.file, {"of": self._kind(), "seconds": known})
        sizes = self._resize(known)
        if known is not even:
            self._seconds = known
            took = _listed({name: f"{known[name]:.3g}" for name in self.shared})
            self._say(f"measured, in seconds of an actor for a row: {took}")
        self._say(f"pools that share {self._total}, in actors: {_listed(sizes)}")
        yield units

    def facts(self) -> dict[str, Any]:
        """For the manifest: sizes and what they follow from; nothing where no budget is shared."""
        if not self.shared:
            return {}
        if not self._seconds and (known := self._known()):  # there was nothing left to do
            self._seconds = known
            self._resize(known)
        pools = {
            name: {"actors": self[name].actors}
            | ({"seconds_a_row": round(self._seconds[name], 6)} if name in self._seconds else {})
            for name in self.shared
        }
        return {"pools": pools}

    def _say(self, words: str) -> None:
        print(f"[{self.stage.name}] {words}", flush=True)

    @property
    def _total(self) -> str:
        assert self.budget is not None
        return f"{self.budget.gpus:g} GPUs" if self.budget.gpus else f"{self.budget.actors} actors"

    def _resize(self, seconds: dict[str, float]) -> dict[str, int]:
        assert self.budget is not None
        sizes = self.budget.split(seconds, self.shared)
        for name, size in sizes.items():
            self._pools[name] = self.shared[name].model_copy(update={"actors": size, "max_actors": None})
        return sizes

    def _kind(self) -> str:
        """What rates were measured of: actors of these resources, on these nodes."""
        sized = {"actors", "max_actors", "row_limit_s"}
        return digest({name: pool.model_dump(exclude=sized) for name, pool in self.shared.items()})

    def _known(self) -> dict[str, float] | None:
        if not store.exists(self.file):
            return None
        found = store.read_json(self.file)
        return found["seconds"] if found["of"] == self._kind() else None


def seconds_a_row(calls: list[Call]) -> dict[str, float]:
    """By pool, the seconds that an actor is at work for each row that comes of it.

    Calls of one actor at the same time count once. The first of an actor, in which kernels are compiled and memory is
    found, counts only where there is no other. Pools without a row are left out.
    """
    of_actors: dict[tuple[str, str], list[tuple[float, float, int]]] = defaultdict(list)
    for pool, actor, *call in calls:
        of_actors[pool, actor].append(tuple(call))  # type: ignore[arg-type]
    took: dict[str, float] = defaultdict(float)
    rows: dict[str, int] = defaultdict(int)
    for (pool, _), own in of_actors.items():
        end = float("-inf")
        for start, until, made in sorted(own)[len(own) > 1 :]:
            took[pool] += max(0.0, until - max(start, end))
            rows[pool] += made
            end = max(end, until)
    return {pool: took[pool] / count for pool, count in rows.items() if count}


class Notes:
    """Calls of actors that are measured, kept in an actor of its own."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def note(self, call: Call) -> None:
        self.calls.append(call)

    def all(self) -> list[Call]:
        return self.calls


def _notes() -> Any:
    return ray.remote(num_cpus=0)(Notes).options(label_selector=beside_driver()).remote()


def _listed(of: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in of.items())

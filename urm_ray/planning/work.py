"""What each part of a run does, how often and how long: calls, tokens and GPU-hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from urm_ray.config_planning import ThroughputConfig
from urm_ray.config_training import BudgetConfig, PoolConfig
from urm_ray.planning.devices import Device
from urm_ray.planning.serving import Serving


@dataclass(frozen=True)
class Work:
    """One kind of row that a stage goes through."""

    stage: str
    rows_are: str
    rows: float
    read: float
    """Tokens of each row that a VLM reads; 0 where none does."""
    written: float
    """Tokens of each row that are decoded."""
    seconds: float | None
    """Of one row on one GPU; None where it is not known."""
    gpus: float
    """That work on it at a time; 0 where CPUs do."""
    pool: str = ""
    """The setting that names these GPUs; rows of one pool wait for each other."""
    phase: int = 0
    """What a stage does in one phase streams from pool to pool; the next phase waits for it."""

    @property
    def name(self) -> str:
        """As in `planning.throughputs.measured`."""
        return f"{self.stage}: {self.rows_are}"

    @property
    def hours(self) -> float | None:
        """By the clock, if it waits for nothing else."""
        return self.rows * self.seconds / self.gpus / 3600 if self.seconds is not None and self.gpus else None


class Clock:
    """Seconds of one row on one GPU."""

    def __init__(self, gpu: Device, rates: ThroughputConfig) -> None:
        self.gpu, self.rates = gpu, rates

    def computed(self, flops: float, dtype: str, share: float) -> float:
        return flops / (self.gpu.flops(dtype) * share)

    def decoded(self, served: Serving, dtype: str, batch: int, new: float) -> float:
        """Of one of `batch` answers that are written together, its question being read first."""
        step = (served.weights + batch * served.token_bytes) / (self.gpu.bandwidth * 1e12 * self.rates.bandwidth)
        step = max(step, served.layers * self.rates.layer_seconds)
        return self.computed(served.flops, dtype, self.rates.reading) + new * step / batch

    def measured(self, work: Work) -> Work:
        """With the time that was measured, where there is one."""
        rate = self.rates.measured.get(work.name)
        return replace(work, seconds=1 / rate) if rate else work


def pool_gpus(pool: PoolConfig) -> float:
    """GPUs of a whole pool."""
    return pool.most * pool.num_gpus


def balanced(works: list[Work], stage: str, pools: dict[str, PoolConfig], budget: BudgetConfig | None) -> list[Work]:
    """The works, those of a stage with the GPUs that its pools get of a budget; of equal sizes while a time is not
    known."""
    if budget is None:
        return works
    shared = {name: pool for name, pool in pools.items() if budget.cost(pool) and pool.num_gpus}
    took = dict.fromkeys(shared, 0.0)
    for work in works:
        if work.stage == stage and work.pool in shared:
            took[work.pool] += work.rows * (work.seconds or 0.0) / shared[work.pool].num_gpus
    if not all(took.values()):
        took = dict.fromkeys(shared, 1.0)
    sizes = budget.split(took, shared) if shared else {}
    return [
        replace(work, gpus=sizes[work.pool] * shared[work.pool].num_gpus)
        if work.stage == stage and work.pool in shared
        else work
        for work in works
    ]


def stage_hours(works: Sequence[Work]) -> Iterator[tuple[str, float | None, float | None]]:
    """(stage, hours by the clock, GPU-hours). The slowest pool of a phase sets its pace, and the others wait with their
    GPUs."""
    for stage in dict.fromkeys(work.stage for work in works if work.gpus):
        own = [work for work in works if work.stage == stage and work.gpus]
        if any(work.hours is None for work in own):
            yield stage, None, None
            continue
        clock = held = 0.0
        for phase in {work.phase for work in own}:
            pools: dict[str, float] = {}
            gpus: dict[str, float] = {}
            for work in (work for work in own if work.phase == phase):
                pools[work.pool] = pools.get(work.pool, 0.0) + (work.hours or 0.0)
                gpus[work.pool] = work.gpus
            clock += max(pools.values())
            held += max(pools.values()) * sum(gpus.values())
        yield stage, clock, held

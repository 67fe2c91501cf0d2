"""Variants of a configuration. All share one run folder, so what two of them have in common is done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from urm_ray.config import Config
from urm_ray.config_file import ConfigError, build
from urm_ray.config_policy import PolicyConfig
from urm_ray.config_training import Task
from urm_ray.evaluation.metrics import Figure
from urm_ray.pipeline.run import ALIGNMENT, Run
from urm_ray.run_folder import Stage
from urm_ray.store import StoreError

TO_JUDGE = ("prepare", "reward", "judge")
TO_ALIGN = ("prepare", "reward", *ALIGNMENT)
TO_SIFT = ("prepare", "reward", "generate", "pairs")


@dataclass(frozen=True)
class Variant:
    """A run with other settings, and how far it is run."""

    name: str
    config: Config
    stages: tuple[str, ...]
    task: Task | None = None
    """The task whose policy is aligned; None where none is."""

    @cached_property
    def run(self) -> Run:
        return Run(self.config)

    @property
    def policy(self) -> PolicyConfig:
        assert self.task is not None
        return self.config.policy(self.task)

    def finished(self, name: str) -> Stage:
        """A stage of its task; StoreError while it is not done."""
        return self.run.finished(name, self.task)

    def steps(self) -> list[tuple[str, Task | None]]:
        """(stage, task) in order. Preferences of every task are prepared: the judge learns from all of them."""
        own = (None, self.task)
        return [(name, task) for name, task in self.run.steps(self.stages) if name == "prepare" or task in own]

    def done(self) -> bool:
        """Whether nothing is left to do. Not while a model that it starts from is yet to be made."""
        try:
            return all(self.run.stage(*step).done for step in self.steps())
        except StoreError:
            return False


@dataclass(frozen=True)
class Finding:
    """One figure of one row of an experiment's table. signed: a difference, whose sign is shown."""

    row: str
    name: str
    figure: Figure
    signed: bool = False


@dataclass(frozen=True)
class Experiment:
    """What is compared, what is measured of it, and what the paper says of each row of the table."""

    number: int
    title: str
    variants: Callable[[Config], Iterator[Variant]]
    """In the order in which they are run: a variant may start from a model that one before it makes."""
    findings: Callable[[Config, Mapping[str, Variant]], list[Finding]]
    """From all variants by name, once they are done."""
    note: str
    paper: Mapping[str, str] = field(default_factory=dict)


def derived(base: Config, changes: Mapping[str, Any]) -> Config:
    """The configuration with `key.path` settings replaced; ConfigError if they do not fit."""
    values = base.model_dump()
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = values
        for key in parents:
            section = section.setdefault(key, {})
        section[last] = value
    return build(values)


def subject(base: Config) -> Task:
    """The task whose policy is aligned; ConfigError if the run leaves it out."""
    task = base.experiments.task or base.tasks[0]
    if task not in base.tasks:
        raise ConfigError(f"experiments.task: {task} is none of the run's tasks ({', '.join(base.tasks)})")
    return task


def seeds(base: Config) -> range:
    return range(base.run.seed, base.run.seed + base.experiments.seeds)


def aligned(base: Config, seed: int, construction: str = "pair_point", orders: str = "asked") -> Variant:
    """The policy aligned with `experiments.pairs` pairs that are made in this way; one variant for every experiment."""
    changes = {"run.seed": seed, "pairs.construction": construction, "pairs.orders": orders}
    name = f"seed{seed}-{construction}" + ("" if orders == "asked" else f"-{orders}-order")
    config = derived(base, changes | {"pairs.keep": base.experiments.pairs})
    return Variant(name, config, TO_ALIGN, subject(base))

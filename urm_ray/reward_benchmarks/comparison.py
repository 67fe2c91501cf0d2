"""What a benchmark asks: two candidates, and which of them people prefer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from urm_ray.config_training import Task
from urm_ray.evaluation.calls import OVERALL, Row
from urm_ray.sources.draft import Media
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected

Label = Literal["first", "second", "tie", "tie_good", "tie_bad"]
"""The candidate that people prefer, or a tie, of two good or two bad candidates where a benchmark tells them apart."""


@dataclass(frozen=True)
class Interleaved:
    """A candidate of words and pictures, in their order."""

    parts: tuple[Media | str, ...]


Candidate = Media | str | Interleaved


@dataclass(frozen=True)
class Comparison:
    """One item of a benchmark.

    labels: by dimension; `OVERALL` is what a pair verdict is held against. group: its category, with "/" before a
    category within it. cluster: what it shares with items that hang together with it, such as a prompt; intervals
    resample clusters.
    """

    item_id: str
    task: Task
    prompt: str
    candidates: tuple[Candidate, Candidate]
    labels: Mapping[str, Label]
    context: tuple[Media, ...] = ()
    group: str = ""
    cluster: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """The columns of a `schema.PREDICTION` row that are known before a judge is asked."""
        labels = [{"dimension": dimension, "label": label} for dimension, label in sorted(self.labels.items())]
        known = {"item_id": self.item_id, "task": self.task, "group": self.group, "labels": labels}
        return known | {"cluster": self.cluster or self.item_id}


@dataclass(frozen=True)
class Measuring:
    """seed, resamples: of the intervals. judgements: how many of an item a majority is taken of, where one is."""

    seed: int = 0
    resamples: int = 2000
    judgements: int = 9


class Benchmark(ABC):
    """A benchmark in the form in which it is published: a folder as the hub's download leaves it, or one file.

    `Benchmark(path)` is made wherever items are read. SourceError where the path does not hold this benchmark.
    """

    title: ClassVar[str]
    hub: ClassVar[str] = ""
    """Its name on the hub."""
    media_hub: ClassVar[str] = ""
    """Where its pictures or clips are on the hub, if that is another place."""
    places: ClassVar[Sequence[str]] = ("",)
    """Folders in which files that a record names are looked for, one after the other."""
    sizes: ClassVar[Mapping[str, int]] = {}
    """How many items it has in each group, or in all under "all"; empty where that is not published."""
    dimensions: ClassVar[Mapping[str, Sequence[str]]] = {}
    """For dimensions of its labels the names that judges may have for them, in small letters."""

    @abstractmethod
    def __init__(self, path: str) -> None: ...

    @abstractmethod
    def units(self, rows: int) -> Iterator[Unit]:
        """Parts of about so many items; no media are read."""

    @abstractmethod
    def items(self, unit: Unit) -> Iterator[Comparison | Rejected]:
        """The items of a unit, and the records that give none, with the reason."""

    @classmethod
    @abstractmethod
    def measure(cls, rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
        """{columns, figures} of `schema.PREDICTION` rows: what stands in a paper's table, and all that is known."""


def in_group(row: Row, name: str) -> bool:
    """Whether a row is in a group or in one within it."""
    return row["group"] == name or row["group"].startswith(f"{name}/")


def overall(label: Label) -> dict[str, Label]:
    """Labels of an item that has one alone."""
    return {OVERALL: label}

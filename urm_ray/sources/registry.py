"""What a source is, and how a configuration names one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from urm_ray.config_training import Task

Part = Literal["train_pairs", "train_points", "heldout_pairs", "heldout_points", "train_prompts", "heldout_prompts"]
PARTS: tuple[Part, ...] = get_args(Part)


class SourceError(ValueError):
    """A source that cannot be read at all; the message says why in one sentence."""


@dataclass(frozen=True)
class Rejected:
    """A row that was put aside."""

    row_id: str
    reason: str
    detail: str = ""


class Source(Protocol):
    """Rows of each part by number. The same number always gives the same row, on whichever node it is read.

    `Source(path, seed, task, wanted)` is made wherever rows are read, and gives rows of this task alone; `wanted` says
    how many are asked of each part.
    """

    def __init__(self, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> None: ...

    def size(self, part: Part) -> int:
        """How many rows there are in a part, at most as many as are wanted."""

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        """Rows [start, stop) as `schema.PREFERENCE` or `schema.PROMPT` values."""


SOURCES = {
    "parquet": "urm_ray.sources.parquet:ParquetPreferences",
    "jsonl": "urm_ray.sources.prompts:PromptFile",
}


def load_object(name: str) -> Any:
    """The object that `module:attribute` names; SourceError if there is none."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SourceError(f"there is no {name!r} to load: {error}") from None


def source(name: str, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> Source:
    """A source by its registered name, a published data set by the name of its reader, or `module:Class`."""
    from urm_ray.sources.reader import READERS
    from urm_ray.sources.reader_source import ReaderSource

    if name in READERS:
        return ReaderSource(name, path, seed, task, wanted)
    if name not in SOURCES and ":" not in name:
        known = ", ".join([*SOURCES, *sorted(READERS)])
        raise SourceError(f"no source {name!r}; there are {known}, or module:Class")
    return load_object(SOURCES.get(name, name))(path, seed, task, wanted)

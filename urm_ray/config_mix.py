"""The settings of an import: which sources are read, and how much of each. Importable without torch or Ray."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from urm_ray.config_training import Section, Task

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+")


class WebConfig(Section):
    """What may be fetched where data name media by URL. Nothing is, unless hosts are named."""

    hosts: list[str] = Field(default_factory=list)
    """Hosts by name, such as images.example.org, or *.example.org for all below one; * for any that is public."""
    schemes: list[Literal["https", "http"]] = Field(["https"])
    """How. What is fetched by http can be changed by everyone on the way."""
    allow_private: bool = False
    """Fetch from addresses that are not public, too: loopback and one's own network. Those at which clouds hand out
    credentials stay closed."""
    max_mib: float = Field(64.0, gt=0, le=256)
    """A longer picture or clip is not fetched."""
    timeout_s: float = Field(30.0, gt=0)
    """Of one try, from looking the host up to the last byte."""
    redirects: int = Field(3, ge=0)
    """How many are followed; each one has to be allowed as the first address was."""
    retries: int = Field(2, ge=0)
    """How often a try is made again that failed in a way that may pass."""
    backoff_s: float = Field(1.0, ge=0)
    """The pause before the first retry; each one after it is twice as long."""

    @field_validator("hosts")
    @classmethod
    def _names_alone(cls, values: list[str]) -> list[str]:
        for value in values:
            if value != "*" and not _HOST.fullmatch(value):
                raise ValueError(f"{value!r} is no host: give its name alone, or *.NAME, or *")
        return [value.lower().rstrip(".") for value in values]


class MixSource(Section):
    """Rows of one source."""

    name: str = ""
    """Its folder in the result; the source's name if it is not given."""
    source: str
    """A reader by name (`urm_ray.sources.reader`) or `module:Class`."""
    path: str
    """A file or folder, relative to `root`, or OWNER/NAME or OWNER/NAME@REVISION on the hub."""
    media: str | None = None
    """Where pictures and clips lie if not beside the records; as `path`."""
    task: Task | None = None
    kind: Literal["pair", "point"] | None = None
    dimension: str | None = None
    """Only rows of this task, kind and dimension; None takes all."""
    take: Annotated[int, Field(ge=1)] | Literal["all"] = "all"
    """So many rows, drawn by ids and the seed among those that are usable."""
    held_out: int = Field(0, ge=0)
    """Prompts with so many rows, drawn by text and the seed, are written to `_held_out` and taken from no source."""
    expected: int | None = None
    """How many rows there should be, held-out ones included."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("name"):
            values = values | {"name": str(values.get("source", "")).rpartition(":")[2]}
        return values

    @model_validator(mode="after")
    def _a_folder(self) -> MixSource:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name: {self.name!r} is no name for a folder: letters, digits, dots, _ and -")
        return self

    @property
    def chooses(self) -> bool:
        """Whether the rows have to be known before any of them is taken."""
        return self.take != "all" or self.held_out > 0


class Mix(Section):
    """What is read into one folder."""

    seed: int = 0
    """Which rows are drawn, where not all are taken."""
    root: str = "."
    """The folder that relative paths start from."""
    sources: list[MixSource] = Field(min_length=1)
    allow_missing: bool = False
    """Go on without the sources that are not there; the report names them."""
    web: WebConfig = WebConfig()
    unit_rows: int = Field(200, ge=1)
    """Records of one unit of work, which is written whole or not at all."""
    cpus: float = Field(1, gt=0)
    """CPUs of one reader."""

    @model_validator(mode="after")
    def _every_name_once(self) -> Mix:
        names = [source.name for source in self.sources]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sources: each needs a name of its own, {', '.join(repeated)} is there twice")
        return self

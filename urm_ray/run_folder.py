"""A run directory: stage folders named by digest, manifests written last, one writer at a time.

RUN/config.yaml                       the configuration as resolved
RUN/<stage>-<digest>/manifest.json    written last: a stage that has one is done and never run again
RUN/<stage>-<digest>/progress.json    how far it is while it is under way
RUN/<stage>-<digest>/<part>/unit-00000.parquet, ...
RUN/<stage>-<digest>/quarantine/...   rows that were put aside, with their reasons
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

from urm_ray import store
from urm_ray.file_systems import StoreError, is_object, join, locate, problem, steady
from urm_ray.lock import LockedError, held
from urm_ray.secrets import masked_all

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")
"""Names of files that are being written, as `store.writing` makes them."""
PROGRESS = "progress.json"


class InUseError(StoreError):
    """The run folder has another writer; the message says who."""


@dataclass(frozen=True)
class Stage:
    """A stage's folder. Its name holds the digest of all that its content depends on."""

    uri: str
    name: str
    digest: str

    def path(self, *names: str) -> str:
        return join(self.uri, *names)

    @property
    def done(self) -> bool:
        return store.exists(self.path("manifest.json"))

    def manifest(self) -> dict[str, Any]:
        return store.read_json(self.path("manifest.json"))

    def finish(self, seconds: float, **facts: Any) -> dict[str, Any]:
        """Writes the manifest, which makes the stage done."""
        manifest = {"stage": self.name, "digest": self.digest, "seconds": round(seconds, 3), **masked_all(facts)}
        store.delete_file(self.path(PROGRESS))
        store.write_json(self.path("manifest.json"), manifest)
        return manifest

    def note(self, facts: dict[str, Any]) -> None:
        """Writes how far the stage is, for whoever watches; that it cannot be written is no reason to stop."""
        with contextlib.suppress(OSError, StoreError):
            store.write_json(self.path(PROGRESS), {"time": time.time(), **facts}, lasting=False)

    def noted(self) -> dict[str, Any] | None:
        """What was noted last, and when (`time`, in seconds since 1970), unless there is nothing."""
        with contextlib.suppress(FileNotFoundError):
            return store.read_json(self.path(PROGRESS))
        return None

    def forget(self) -> None:
        """Removes the stage's folder, so that it is done again."""
        store.delete_dir(self.uri)

    def units(self, part: str) -> list[str]:
        """The parquet files of a part, in the order of their unit numbers."""
        return store.list_files(self.path(part), ".parquet")

    def rows(self, part: str, columns: list[str] | None = None) -> pa.Table:
        """All rows of a part, in order. For small parts: heavy columns should be left out or streamed by Ray Data."""
        files = self.units(part)
        if not files:
            raise StoreError(f"stage {self.name} holds no {part} in {self.uri}")
        return pa.concat_tables([store.read_table(f, columns) for f in files])


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run."""

    uri: str

    @classmethod
    def open(cls, directory: str) -> RunFolder:
        uri = directory if "://" in directory else os.path.abspath(directory)
        fs, path = locate(uri)
        if is_object(uri):
            _need_there(uri)
            return cls(uri)
        try:
            fs.create_dir(path, recursive=True)
        except OSError as error:
            raise StoreError(f"cannot create the run folder {uri}: {error.strerror or error}") from None
        return cls(uri)

    def stage(self, name: str, digest_: str) -> Stage:
        return Stage(join(self.uri, f"{name}-{digest_[:12]}"), name, digest_)

    def stages(self) -> list[Stage]:
        """The stages in the folder that are done, by the name of their folder."""
        names = store.names_in(self.uri, pafs.FileType.Directory)
        found = [Stage(join(self.uri, name), name.rpartition("-")[0], "") for name in names]
        manifests = [(stage, stage.manifest()) for stage in found if stage.done]
        return [Stage(stage.uri, known["stage"], known["digest"]) for stage, known in manifests]

    def _tidy(self) -> None:
        """Removes files that somebody died over while writing them, from the stages that are not done."""
        if is_object(self.uri):
            return  # objects have no such files: they appear whole
        for stage in Path(locate(self.uri)[1]).iterdir():
            if stage.is_dir() and not (stage / "manifest.json").exists():
                for folder, _, names in os.walk(stage):
                    for name in filter(_UNFINISHED.fullmatch, names):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(os.path.join(folder, name))

    def need_free(self, mebibytes: int) -> None:
        """StoreError unless a local run folder has this much space left."""
        if is_object(self.uri):
            return
        free = shutil.disk_usage(locate(self.uri)[1]).free >> 20
        if free < mebibytes:
            raise StoreError(
                f"no free space in the run folder {self.uri}: {free} MiB are left, {mebibytes} MiB are needed"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time: InUseError names the holder; the lock of one that is dead is taken over."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(held(*locate(self.uri)))
            except LockedError as error:
                raise InUseError(f"the run folder {self.uri} is {error}") from None
            except OSError as error:
                raise (StoreError(problem(self.uri, error)) if is_object(self.uri) else error) from None
            self._tidy()
            yield


@steady
def _need_there(uri: str) -> None:
    """StoreError where nothing can be listed at a place on an object store; it may be empty."""
    fs, path = locate(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.get_file_info(pafs.FileSelector(path))

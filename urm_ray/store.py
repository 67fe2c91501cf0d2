"""A run directory: stage folders named by digest, manifests written last, one writer at a time.

    RUN/config.yaml                       the configuration as resolved
    RUN/<stage>-<digest>/manifest.json    written last: a stage that has one is done and never run again
    RUN/<stage>-<digest>/<part>/unit-00000.parquet, ...
    RUN/<stage>-<digest>/quarantine/...   rows that were put aside, with their reasons
    RUN/<stage>-<digest>/progress.json    how far a stage is, while it is under way

Files appear whole or not at all. Folders may lie on any file system that pyarrow knows.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from urm_ray.file_systems import (
    StoreError,
    is_object,
    join,
    locate,
    missing_space,
    no_space,
    problem,
    steady,
)
from urm_ray.lock import LockedError, held
from urm_ray.schema import objects_in
from urm_ray.secrets import masked_all

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}")
"""Names of files that are being written, as `writing` makes them."""
PROGRESS = "progress.json"
Read = TypeVar("Read")


@steady
def exists(uri: str) -> bool:
    fs, path = locate(uri)
    return fs.get_file_info(path).type != pafs.FileType.NotFound


def list_files(uri: str, suffix: str = "") -> list[str]:
    """Files directly in a folder (full paths or URIs, sorted); empty where there is no such folder."""
    place = uri if "://" in uri else os.path.abspath(uri)
    found = _names(uri, pafs.FileType.File)
    return [join(place, name) for name in found if name.endswith(suffix) and name[0] != "."]


@steady
def _names(uri: str, kind: pafs.FileType) -> list[str]:
    """The sorted names of what is of a kind directly in a folder."""
    fs, path = locate(uri)
    found = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    return sorted(f.base_name for f in found if f.type == kind)


@dataclass(frozen=True)
class File:
    """A file below a folder. name: relative to it; empty where the folder is the file. changed: when, in ns."""

    name: str
    size: int
    changed: int


@steady
def tree(uri: str) -> list[File]:
    """All files below a folder, or the one file at a place, in the order of their paths; empty where there is nothing.
    Those whose names begin with a dot are left out."""
    fs, path = locate(uri)
    found = fs.get_file_info(path)
    if found.type == pafs.FileType.NotFound:
        return []
    if found.type == pafs.FileType.File:
        return [File("", found.size, found.mtime_ns)]
    below = [f for f in fs.get_file_info(pafs.FileSelector(path, recursive=True)) if f.type == pafs.FileType.File]
    files = [File(f.path[len(path.rstrip("/")) + 1 :], f.size, f.mtime_ns) for f in below if f.base_name[0] != "."]
    return sorted(files, key=lambda file: PurePosixPath(file.name))


@contextlib.contextmanager
def writing(uri: str, size: int | None = None) -> Iterator[pa.NativeFile]:
    """A stream into a file that appears whole when the block is left, or not at all if it is left by an error.

    size: of the file in bytes, as far as it is known. StoreError where there is no space for it.
    """
    if is_object(uri):  # what was written into an object when it is closed becomes the object, after an error too
        with tempfile.TemporaryDirectory(prefix="urm_ray-") as folder:
            spool = f"{folder}/whole"
            with writing(spool, size) as stream:
                yield stream
            upload_file(spool, uri)
        return
    fs, path = locate(uri)
    fs.create_dir(os.path.dirname(path), recursive=True)
    target = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{uuid.uuid4().hex}"
    try:
        with fs.open_output_stream(target) as stream:
            yield stream
        os.replace(target, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            fs.delete_file(target)
        if no_space(error):
            raise StoreError(f"no free space {missing_space(uri, size)}") from None
        raise


@steady
def _put(uri: str, data: Any) -> None:
    """Writes an object by one call, so that there is never an end to write but the last."""
    fs, path = locate(uri)
    with fs.open_output_stream(path) as stream:
        stream.write(data)


def upload_file(file: str, uri: str) -> None:
    """Copies a local file to an object, which appears whole or not at all."""
    with pa.memory_map(file) if os.path.getsize(file) else pa.BufferReader(b"") as stream:
        _put(uri, stream.read_buffer())


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a file so that it appears whole or not at all."""
    if is_object(uri):
        return _put(uri, data)
    with writing(uri, len(data)) as stream:
        stream.write(data)


@steady
def read_bytes(uri: str) -> bytes:
    with opened(uri) as file:
        return file.read()


def opened(uri: str) -> pa.NativeFile:
    """A file to read anywhere in it; callers are `steady`."""
    fs, path = locate(uri)
    return fs.open_input_file(path)


def write_json(uri: str, value: Any) -> None:
    write_bytes(uri, json.dumps(value, indent=2, sort_keys=True).encode())


def read_json(uri: str) -> Any:
    return json.loads(read_bytes(uri))


def write_table(uri: str, table: pa.Table) -> None:
    """Writes a parquet file whole or not at all; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd", store_schema=False)
    write_bytes(uri, sink.getvalue())


@steady
def read_table(uri: str, columns: list[str] | None = None) -> pa.Table:
    """The rows of a parquet file; StoreError for columns of pickled objects, which reading would run."""
    with opened(uri) as file:
        table = pq.read_table(file, columns=columns, partitioning=None)
    if objects := objects_in(table.schema):
        raise StoreError(f"{uri} has columns of pickled objects: {', '.join(objects)}")
    return table


@steady
def read_leaves(uri: str, leaves: list[str]) -> pa.Table:
    """Parts of the columns of a parquet file, such as `candidates.list.element.index`: the rest is not read."""
    with opened(uri) as file:
        return pq.ParquetFile(file).read(columns=leaves)


@steady
def delete_file(uri: str) -> None:
    """Removes a file, if it is there."""
    fs, path = locate(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.delete_file(path)


@steady
def delete_dir(uri: str) -> None:
    fs, path = locate(uri)
    if fs.get_file_info(path).type == pafs.FileType.Directory:
        fs.delete_dir(path)


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
        return exists(self.path("manifest.json"))

    def manifest(self) -> dict[str, Any]:
        return read_json(self.path("manifest.json"))

    def finish(self, seconds: float, **facts: Any) -> dict[str, Any]:
        """Writes the manifest, which makes the stage done."""
        manifest = {"stage": self.name, "digest": self.digest, "seconds": round(seconds, 3), **masked_all(facts)}
        delete_file(self.path(PROGRESS))
        write_json(self.path("manifest.json"), manifest)
        return manifest

    def note(self, facts: dict[str, Any]) -> None:
        """Writes how far the stage is, for whoever watches; that it cannot be written is no reason to stop."""
        with contextlib.suppress(OSError, StoreError):
            write_json(self.path(PROGRESS), {"time": time.time(), **facts})

    def noted(self) -> dict[str, Any] | None:
        """What was noted last, and when (`time`, in seconds since 1970), unless there is nothing."""
        with contextlib.suppress(FileNotFoundError):
            return read_json(self.path(PROGRESS))
        return None

    def forget(self) -> None:
        """Removes the stage's folder, so that it is done again."""
        delete_dir(self.uri)

    def units(self, part: str) -> list[str]:
        """The parquet files of a part, in the order of their unit numbers."""
        return list_files(self.path(part), ".parquet")

    def rows(self, part: str, columns: list[str] | None = None) -> pa.Table:
        """All rows of a part, in order. For small parts: heavy columns should be left out or streamed by Ray Data."""
        files = self.units(part)
        if not files:
            raise StoreError(f"stage {self.name} holds no {part} in {self.uri}")
        return pa.concat_tables([read_table(f, columns) for f in files])


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
        names = _names(self.uri, pafs.FileType.Directory)
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
        """One writer at a time: StoreError names the holder; the lock of one that is dead is taken over."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(held(*locate(self.uri)))
            except LockedError as error:
                raise StoreError(f"the run folder {self.uri} is {error}") from None
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


@steady
def row_count(uri: str) -> int:
    """Rows of a parquet file, from its footer alone."""
    with opened(uri) as file:
        return pq.ParquetFile(file).metadata.num_rows


def row_counts(uris: Sequence[str]) -> list[int]:
    """Rows of each parquet file."""
    return list(read_ahead(uris, row_count))


def read_ahead(uris: Sequence[str], read: Callable[[str], Read], count: int = 16) -> Iterator[Read]:
    """What `read` gives of each file, in order, of `count` at the same time: object storage answers after a while, and
    one file after the other would have to wait for it each time."""
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[Read]] = deque()
        for uri in uris:
            if len(waiting) == count:
                yield waiting.popleft().result()
            waiting.append(pool.submit(read, uri))
        while waiting:
            yield waiting.popleft().result()


@steady
def size_of(uri: str) -> int:
    """Bytes of a file."""
    fs, path = locate(uri)
    return fs.get_file_info(path).size

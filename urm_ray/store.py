"""A run directory: stage folders named by digest, manifests written last, one writer at a time.

    RUN/config.yaml                       the configuration as resolved
    RUN/<stage>-<digest>/manifest.json    written last: a stage that has one is done and never run again
    RUN/<stage>-<digest>/<part>/unit-00000.parquet, ...
    RUN/<stage>-<digest>/quarantine/...   rows that were put aside, with their reasons

Files appear whole or not at all. Folders may lie on any file system that pyarrow knows.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from urm_ray.lock import LockedError, held
from urm_ray.schema import digest, objects_in

Read = TypeVar("Read")


class StoreError(RuntimeError):
    """The run folder cannot be used; the message says why in one sentence."""


def locate(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system and the path on it of a URI or a plain path."""
    if "://" in uri:
        return pafs.FileSystem.from_uri(uri)
    return pafs.LocalFileSystem(), os.path.abspath(uri)


def join(uri: str, *names: str) -> str:
    return "/".join([uri.rstrip("/"), *names])


def exists(uri: str) -> bool:
    fs, path = locate(uri)
    return fs.get_file_info(path).type != pafs.FileType.NotFound


def list_files(uri: str, suffix: str = "") -> list[str]:
    """Files directly in a folder (full paths, sorted); empty where there is no such folder."""
    fs, path = locate(uri)
    found = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    scheme = uri.split("://", 1)[0] + "://" if "://" in uri else ""
    return sorted(
        scheme + f.path
        for f in found
        if f.type == pafs.FileType.File and f.base_name.endswith(suffix) and f.base_name[0] != "."
    )


@contextlib.contextmanager
def writing(uri: str, size: int | None = None) -> Iterator[pa.NativeFile]:
    """A stream into a file that appears whole when the block is left, or not at all if it is left by an error.

    size: of the file in bytes, as far as it is known. StoreError where there is no space for it.
    """
    fs, path = locate(uri)
    fs.create_dir(os.path.dirname(path), recursive=True)
    local = isinstance(fs, pafs.LocalFileSystem)
    target = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{uuid.uuid4().hex}" if local else path
    try:
        with fs.open_output_stream(target) as stream:
            yield stream
        if local:
            os.replace(target, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            fs.delete_file(target)
        if no_space(error):
            raise StoreError(f"no free space {missing_space(uri, size)}") from None
        raise


def no_space(error: BaseException) -> bool:
    """Whether an error says that a disk, or somebody's share of it, is full."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return full or any(words in str(error) for words in ("No space left on device", "Disk quota exceeded"))


def missing_space(uri: str, size: int | None = None) -> str:
    """Where there is no space, how much there is, and what to do. size: of the file that did not fit, in bytes."""
    fs, path = locate(uri)
    while isinstance(fs, pafs.LocalFileSystem) and not os.path.exists(path):
        path = os.path.dirname(path)
    left = f": {shutil.disk_usage(path).free / 2**20:.1f} MiB are left" if isinstance(fs, pafs.LocalFileSystem) else ""
    needed = f", {size / 2**20:.1f} MiB are needed for this file alone" if size is not None else ""
    return f"in {uri}{left}{needed}; make room, and the same command goes on from here"


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a file so that it appears whole or not at all."""
    with writing(uri, len(data)) as stream:
        stream.write(data)


def read_bytes(uri: str) -> bytes:
    fs, path = locate(uri)
    with fs.open_input_stream(path) as stream:
        return stream.read()


def write_json(uri: str, value: Any) -> None:
    write_bytes(uri, json.dumps(value, indent=2, sort_keys=True).encode())


def read_json(uri: str) -> Any:
    return json.loads(read_bytes(uri))


def write_table(uri: str, table: pa.Table) -> None:
    """Writes a parquet file whole or not at all; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, compression="zstd", store_schema=False)
    write_bytes(uri, sink.getvalue())


def read_table(uri: str, columns: list[str] | None = None) -> pa.Table:
    """The rows of a parquet file; StoreError for columns of pickled objects, which reading would run."""
    fs, path = locate(uri)
    table = pq.read_table(path, columns=columns, filesystem=fs, partitioning=None)
    if objects := objects_in(table.schema):
        raise StoreError(f"{uri} has columns of pickled objects: {', '.join(objects)}")
    return table


def read_leaves(uri: str, leaves: list[str]) -> pa.Table:
    """Parts of the columns of a parquet file, such as `candidates.list.element.index`: the rest is not read."""
    fs, path = locate(uri)
    return pq.ParquetFile(path, filesystem=fs).read(columns=leaves)


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
        manifest = {"stage": self.name, "digest": self.digest, "seconds": round(seconds, 3), **facts}
        write_json(self.path("manifest.json"), manifest)
        return manifest

    def forget(self) -> None:
        """Removes the stage's folder, so that it is done again."""
        delete_dir(self.uri)

    def units(self, part: str) -> list[str]:
        """The parquet files of one part of a finished stage, in the order of their unit numbers."""
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
        try:
            fs.create_dir(path, recursive=True)
        except OSError as error:
            raise StoreError(f"cannot create the run folder {uri}: {error.strerror or error}") from None
        return cls(uri)

    def stage(self, name: str, digest_: str) -> Stage:
        return Stage(join(self.uri, f"{name}-{digest_[:12]}"), name, digest_)

    def stages(self) -> list[Stage]:
        """The stages in the folder that are done, by the name of their folder."""
        fs, path = locate(self.uri)
        names = sorted(f.base_name for f in fs.get_file_info(pafs.FileSelector(path)) if f.type.name == "Directory")
        found = [Stage(join(self.uri, name), name.rpartition("-")[0], "") for name in names]
        manifests = [(stage, stage.manifest()) for stage in found if stage.done]
        return [Stage(stage.uri, known["stage"], known["digest"]) for stage, known in manifests]

    def need_free(self, mebibytes: int) -> None:
        """StoreError unless a local run folder has this much space left."""
        if "://" in self.uri:
            return
        free = shutil.disk_usage(self.uri).free >> 20
        if free < mebibytes:
            raise StoreError(
                f"no free space in the run folder {self.uri}: {free} MiB are left, {mebibytes} MiB are needed"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time: StoreError names the holder; the lock of one that is dead is taken over."""
        try:
            with held(*locate(self.uri)):
                yield
        except LockedError as error:
            raise StoreError(f"the run folder {self.uri} is {error}") from None


def row_count(uri: str) -> int:
    """Rows of a parquet file, from its footer alone."""
    fs, path = locate(uri)
    return pq.ParquetFile(path, filesystem=fs).metadata.num_rows


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


def upload_dir(folder: str, uri: str) -> None:
    """Copies a local folder to a stage; safe to repeat."""
    fs, path = locate(uri)
    delete_dir(uri)
    fs.create_dir(path, recursive=True)
    pafs.copy_files(folder, path, source_filesystem=pafs.LocalFileSystem(), destination_filesystem=fs)


def local_dir(uri: str) -> str:
    """A local folder with the content of a stage's folder: itself if it is local, else a copy in a cache."""
    if "://" not in uri:
        return uri
    fs, path = locate(uri)
    cache = Path.home() / ".cache" / "urm_ray" / digest("dir", uri)
    if not cache.exists():
        partial = cache.with_name(f"{cache.name}.{uuid.uuid4().hex}")
        partial.mkdir(parents=True)
        pafs.copy_files(path, str(partial), source_filesystem=fs, destination_filesystem=pafs.LocalFileSystem())
        with contextlib.suppress(OSError):  # another process of this node was quicker
            partial.rename(cache)
    return str(cache)


def size_of(uri: str) -> int:
    """Bytes of a file."""
    fs, path = locate(uri)
    return fs.get_file_info(path).size

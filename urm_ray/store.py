"""Files of a run, of what goes into it and of what comes out: bytes, JSON and parquet on any file system.

Files appear whole or not at all. Places are paths or URIs, such as s3://bucket/runs/mine.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from urm_ray.file_systems import (
    NoSpaceError,
    StoreError,
    is_object,
    join,
    locate,
    missing_space,
    no_space,
    steady,
)
from urm_ray.schema import objects_in

Read = TypeVar("Read")


@steady
def exists(uri: str) -> bool:
    fs, path = locate(uri)
    return fs.get_file_info(path).type != pafs.FileType.NotFound


def list_files(uri: str, suffix: str = "") -> list[str]:
    """Files directly in a folder (full paths or URIs, sorted); empty where there is no such folder."""
    place = uri if "://" in uri else os.path.abspath(uri)
    found = names_in(uri, pafs.FileType.File)
    return [join(place, name) for name in found if name.endswith(suffix) and name[0] != "."]


@steady
def names_in(uri: str, kind: pafs.FileType) -> list[str]:
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
def writing(uri: str, size: int | None = None, lasting: bool = True) -> Iterator[pa.NativeFile]:
    """A stream into a file that appears whole when the block is left, or not at all if it is left by an error. A loss
    of power leaves it whole, or the file that was there before, unless it need not last.

    size: of the file in bytes, as far as it is known. NoSpaceError where there is no space for it.
    """
    if is_object(uri):  # what was written into an object when it is closed becomes the object, after an error too
        with tempfile.TemporaryDirectory(prefix="urm_ray-") as folder:
            spool = f"{folder}/whole"
            with writing(spool, size, lasting=False) as stream:
                yield stream
            upload_file(spool, uri)
        return
    fs, path = locate(uri)
    folder, name = os.path.split(path)
    target = f"{folder}/.{name}.{uuid.uuid4().hex}"
    try:
        fs.create_dir(folder, recursive=True)
        with fs.open_output_stream(target) as stream:
            yield stream
        if lasting:
            to_disk(target)
        os.replace(target, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            fs.delete_file(target)
        if no_space(error):
            raise NoSpaceError(f"no free space {missing_space(uri, size)}") from None
        raise
    if lasting:
        with contextlib.suppress(OSError):  # a file system that does this for no folder keeps the names by itself
            to_disk(folder)


def to_disk(path: str) -> None:
    """Waits until a file's content, or the names in a folder, would outlast a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def write_bytes(uri: str, data: bytes, lasting: bool = True) -> None:
    """Writes a file so that it appears whole or not at all. lasting: as of `writing`."""
    if is_object(uri):
        return _put(uri, data)
    with writing(uri, len(data), lasting) as stream:
        stream.write(data)


@steady
def read_bytes(uri: str) -> bytes:
    with opened(uri) as file:
        return file.read()


def opened(uri: str) -> pa.NativeFile:
    """A file to read anywhere in it; callers are `steady`."""
    fs, path = locate(uri)
    return fs.open_input_file(path)


def write_json(uri: str, value: Any, lasting: bool = True) -> None:
    write_bytes(uri, json.dumps(value, indent=2, sort_keys=True).encode(), lasting)


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


@steady
def size_if_file(uri: str) -> int | None:
    """The same; None where there is no file."""
    fs, path = locate(uri)
    return fs.get_file_info(path).size

"""A run directory: stage folders named by digest, manifests written last, one writer at a time.

    RUN/config.yaml                       the configuration as resolved
    RUN/<stage>-<digest>/manifest.json    written last: a stage that has one is done and never run again
    RUN/<stage>-<digest>/<part>/unit-00000.parquet, ...
    RUN/<stage>-<digest>/quarantine/...   rows that were put aside, with their reasons

Files appear whole or not at all. Folders may lie on any file system that pyarrow knows.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from urm_ray.schema import digest


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


def write_bytes(uri: str, data: bytes) -> None:
    """Writes a file so that it appears whole or not at all."""
    fs, path = locate(uri)
    fs.create_dir(os.path.dirname(path), recursive=True)
    local = isinstance(fs, pafs.LocalFileSystem)
    target = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{uuid.uuid4().hex}" if local else path
    try:
        with fs.open_output_stream(target) as stream:
            stream.write(data)
        if local:
            os.replace(target, path)
    except OSError:
        if local:
            with contextlib.suppress(OSError):
                os.remove(target)
        raise


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
    fs, path = locate(uri)
    return pq.read_table(path, columns=columns, filesystem=fs, partitioning=None)


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
        """One writer at a time: StoreError names the holder; the lock of a process that is dead is taken over."""
        if "://" in self.uri:
            yield
            return
        path = Path(self.uri, ".lock")
        mine = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "since": time.time(),
        }
        for _ in range(10):
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                holder = _read_lock(path)
                if holder and _alive(holder):
                    raise StoreError(
                        f"the run folder {self.uri} is in use by process {holder['pid']} on {holder['host']}; "
                        f"wait for it, or remove {path} if you know that it is gone"
                    ) from None
                path.unlink(missing_ok=True)
                continue
            with os.fdopen(descriptor, "w") as stream:
                json.dump(mine, stream)
            break
        else:
            raise StoreError(f"could not take the lock {path}")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _read_lock(path: Path) -> dict[str, Any] | None:
    for _ in range(5):  # its holder may be between creating and filling it
        try:
            return json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.05)
    return None


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's ticks, so that a reused process number is not taken for its old owner."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _alive(holder: dict[str, Any]) -> bool:
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return holder.get("started") in (None, _started(int(holder["pid"])))


def row_count(uri: str) -> int:
    """Rows of a parquet file, from its footer alone."""
    fs, path = locate(uri)
    with fs.open_input_file(path) as file:
        return pq.ParquetFile(file).metadata.num_rows


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

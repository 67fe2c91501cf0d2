"""Folders that appear whole or not at all. Those that lie on an object store and are needed on a node, such as models,
have one copy a node, for all processes:

    CACHE/<digest>/...      a folder's files, named by their place, sizes and times; it appears whole
    CACHE/<digest>.lock     held by the process that makes the copy, while the others wait

A copy may be deleted whenever nothing runs that needs it; it is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from urm_ray import store
from urm_ray.file_systems import (
    StoreError,
    free_space,
    is_object,
    join,
    locate,
    missing_space,
    name_of,
    no_space,
    steady,
)
from urm_ray.schema import digest
from urm_ray.secrets import printed

VARIABLE = "URM_RAY_CACHE"
"""The variable that names the folder of copies on a node."""
TOGETHER = 8
"""Files that are copied at the same time."""
_CHUNK = 64 << 20


def cache_folder() -> Path:
    """$URM_RAY_CACHE, else urm_ray in the user's cache ($XDG_CACHE_HOME, ~/.cache)."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "urm_ray"


def local_copy(uri: str, suffix: str = "") -> str:
    """A local folder with the files of a folder whose names end in `suffix`, or a local file that is a file: itself,
    whole, if it is local. StoreError where there is none, or no space for it.
    """
    if not is_object(uri):
        return locate(uri)[1] if "://" in uri else uri
    files = [file for file in store.tree(uri) if file.name.endswith(suffix)]
    if not files:
        raise StoreError(f"there is nothing at {printed(uri)}" + (f" that ends in {suffix}" if suffix else ""))
    _need_inside(uri, files)
    place = cache_folder() / digest("copy", uri, [(file.name, file.size, file.changed) for file in files])
    try:
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with _alone(place.with_suffix(".lock")):
                if not place.exists():
                    _copy(uri, files, place)
    except OSError as error:
        if no_space(error):
            need = sum(file.size for file in files) / 2**20
            where = missing_space(str(place.parent))
            raise StoreError(f"no free space for a copy of {uri} ({need:.1f} MiB) {where}") from None
        sentence = f"no copy of {uri} can be made in {place.parent} ({VARIABLE} names another folder): {error}"
        raise StoreError(sentence) from None
    return str(place) if files[0].name else f"{place}/{name_of(uri)}"


def _need_inside(uri: str, files: Sequence[store.File]) -> None:
    """StoreError for a name that would lie elsewhere than below its copy: keys of objects may be any text."""
    for file in files:
        if file.name and not {"", ".", ".."}.isdisjoint(file.name.split("/")):
            raise StoreError(f"{printed(uri)} is not copied: {file.name!r} is no name of a file below it")


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process of the node at a time; the kernel lets go of it when its holder dies."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _copy(uri: str, files: Sequence[store.File], place: Path) -> None:
    for left in place.parent.glob(f"{place.name}.*.partial"):  # of a process that died
        shutil.rmtree(left, ignore_errors=True)
    partial = place.with_name(f"{place.name}.{uuid.uuid4().hex}.partial")
    try:
        for folder in {(partial / file.name).parent for file in files} | {partial}:
            folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(TOGETHER) as threads:
            list(threads.map(lambda file: _fetch(uri, file, partial), files))
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@steady
def _fetch(uri: str, file: store.File, folder: Path) -> None:
    place, to = (join(uri, file.name), folder / file.name) if file.name else (uri, folder / name_of(uri))
    with store.opened(place) as stream, to.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if to.stat().st_size != file.size:
        raise OSError(f"of {file.name} there came {to.stat().st_size} of {file.size} bytes")


def upload_dir(folder: str, uri: str) -> None:
    """Copies a local folder to a place, in the stead of what is there; safe to repeat."""
    store.delete_dir(uri)
    files = store.tree(folder)
    if not is_object(uri):
        place = shutil.copytree(folder, locate(uri)[1])
        for file in files:  # what makes a training done is on the disk after them, and never without
            store.to_disk(f"{place}/{file.name}")
        return
    with ThreadPoolExecutor(TOGETHER) as threads:
        list(threads.map(lambda file: store.upload_file(f"{folder}/{file.name}", join(uri, file.name)), files))


@contextlib.contextmanager
def filling(folder: str) -> Iterator[Path]:
    """A new folder of this machine to write to, which has its name once the block is left: until then, and if it is
    left by an error, there is nothing, or the empty folder that there was.

    It is .FOLDER.partial until then, and what was left there by a process that died is removed. StoreError where there
    is no space for it.
    """
    whole = Path(os.path.realpath(folder))
    if whole.is_mount():
        raise StoreError(f"{folder} is a file system of its own: name a folder in it")
    partial = whole.with_name(f".{whole.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        os.replace(partial, whole)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, Exception) and no_space(error):
            left = (free_space(folder) or 0) / 2**20
            raise StoreError(f"no free space for {folder}: {left:.1f} MiB are left; make room, and try again") from None
        raise

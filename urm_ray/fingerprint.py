"""Digests of what a run reads from outside: checkpoints and data files."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from urm_ray import store
from urm_ray.file_systems import StoreError, is_object, join, steady
from urm_ray.schema import digest

_WHOLE_FILE_DIGEST_LIMIT = 256 << 20
_END_BYTES = 16 << 20
_SAMPLES = 64
_SAMPLE_BYTES = 1 << 20
_CHUNK = 16 << 20
_TOGETHER = 16
"""Parts of a file that are read at the same time: an object store answers each after a while."""


def fingerprint(path: str) -> str:
    """Digest of a file's or a folder's content, wherever it lies; of a hub name, which is no local path, the digest of
    the name. StoreError where there is nothing at a URI.

    Files over 256 MiB count by size, by their first and last 16 MiB, and by 64 MiB from all over what lies between:
    who merges weights into a checkpoint changes no more than its middle. What is read is never held as a whole.
    """
    if not store.exists(path):
        if is_object(path):
            raise StoreError(f"there is nothing at {path}")
        return digest("name", path)
    parts: list[Any] = []
    for file in store.tree(path):
        place = join(path, file.name) if file.name else path
        parts += [file.name or ".", file.size, _content(place, file.size)]
    return digest(*parts)


@steady
def _content(place: str, size: int) -> str:
    with store.opened(place) as stream:
        if size > _WHOLE_FILE_DIGEST_LIMIT:

            def read(part: tuple[int, int]) -> str:
                return hashlib.sha256(stream.read_at(part[1], part[0])).hexdigest()

            with ThreadPoolExecutor(_TOGETHER) as threads:
                return digest(*threads.map(read, _samples(size)))
        state = hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _samples(size: int) -> list[tuple[int, int]]:
    """Where the parts of a large file lie by which it counts, and how long they are: both ends, and as many blocks at
    even distances between them."""
    last = size - _END_BYTES
    steps = [_END_BYTES + (last - _END_BYTES) * (2 * n + 1) // (2 * _SAMPLES) for n in range(_SAMPLES)]
    return [(0, _END_BYTES), *((at, _SAMPLE_BYTES) for at in steps), (last, _END_BYTES)]

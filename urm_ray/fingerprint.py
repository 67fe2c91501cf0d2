"""Digests of what a run reads from outside: checkpoints and data files."""

from __future__ import annotations

import hashlib
from typing import Any

from urm_ray import store
from urm_ray.file_systems import StoreError, is_object, join, steady
from urm_ray.schema import digest

_WHOLE_FILE_DIGEST_LIMIT = 256 << 20
_END_BYTES = 16 << 20
_CHUNK = 16 << 20


def fingerprint(path: str) -> str:
    """Digest of a file's or a folder's content, wherever it lies; of a hub name, which is no local path, the digest of
    the name. StoreError where there is nothing at a URI.

    Files over 256 MiB count by size and by their first and last 16 MiB. What is read is never held as a whole.
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
    state = hashlib.sha256()
    with store.opened(place) as stream:
        if size <= _WHOLE_FILE_DIGEST_LIMIT:
            while chunk := stream.read(_CHUNK):
                state.update(chunk)
        else:
            state.update(stream.read(_END_BYTES))
            stream.seek(size - _END_BYTES)
            state.update(stream.read(_END_BYTES))
    return state.hexdigest()

"""Digests of what a run reads from outside: checkpoints and data files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from urm_ray.schema import digest

_WHOLE_FILE_DIGEST_LIMIT = 256 << 20
_END_BYTES = 16 << 20
_CHUNK = 1 << 20


def fingerprint(path: str) -> str:
    """Digest of a file's or a folder's content; of a hub name, which is no local path, the digest of the name.

    Files over 256 MiB count by size and by their first and last 16 MiB. What is read is never held as a whole.
    """
    root = Path(path)
    if not root.exists():
        return digest("name", path)
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file() and p.name[0] != ".")
    parts: list[Any] = []
    for file in files:
        parts += [str(file.relative_to(root)), file.stat().st_size, _content(file)]
    return digest(*parts)


def _content(file: Path) -> str:
    state, size = hashlib.sha256(), file.stat().st_size
    with file.open("rb") as stream:
        if size <= _WHOLE_FILE_DIGEST_LIMIT:
            while chunk := stream.read(_CHUNK):
                state.update(chunk)
        else:
            state.update(stream.read(_END_BYTES))
            stream.seek(-_END_BYTES, os.SEEK_END)
            state.update(stream.read())
    return state.hexdigest()

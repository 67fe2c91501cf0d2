"""Digests of what a run reads from outside: checkpoints and data files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from urm_ray.schema import digest

_WHOLE_FILE_DIGEST_LIMIT = 256 << 20


def fingerprint(path: str) -> str:
    """Digest of a file's or a folder's content; of a hub name, which is no local path, the digest of the name.

    Files over 256 MiB count by size and by their first and last 16 MiB.
    """
    root = Path(path)
    if not root.exists():
        return digest("name", path)
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file() and p.name[0] != ".")
    parts: list[Any] = []
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as stream:
            if size <= _WHOLE_FILE_DIGEST_LIMIT:
                content = stream.read()
            else:
                content = stream.read(16 << 20)
                stream.seek(-(16 << 20), os.SEEK_END)
                content += stream.read()
        parts += [str(file.relative_to(root)), size, content]
    return digest(*parts)

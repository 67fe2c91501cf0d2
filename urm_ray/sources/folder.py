"""A data set's folder: which files there are, and that no name in a record leads out of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from urm_ray.sources.registry import SourceError


class Folder:
    """The folder at `path`, or the one that the file at `path` lies in. SourceError where there is neither.

    A link that leads out of the folder is outside. The one exception is the hub's cache, where each file of
    `snapshots/REVISION` is a link into the `blobs` beside it.
    """

    def __init__(self, path: str) -> None:
        given = Path(path).expanduser()
        if not path or not given.exists():
            raise SourceError(f"there is no file or folder {path!r}")
        self.file = given.name if given.is_file() else None
        self.root = (given.parent if self.file else given).absolute()
        self._within, self._blobs = self.root.resolve(), _blobs(self.root)

    def files(self, patterns: str | Sequence[str]) -> list[str]:
        """Names, relative to the folder and sorted, of the files that match a pattern of `Path.glob`; SourceError for
        none. Where `path` is a file, it is the one. Names that begin with a dot or an underscore are left out."""
        if self.file:
            return [self.file]
        patterns = [patterns] if isinstance(patterns, str) else list(patterns)
        found = {p.relative_to(self.root) for pattern in patterns for p in self.root.glob(pattern)}
        names = sorted(p.as_posix() for p in found if not any(part[0] in "._" for part in p.parts))
        names = [name for name in names if (file := self.find(name)) and file.is_file()]
        if not names:
            raise SourceError(f"{self.root} holds no {' or '.join(patterns)}")
        return names

    def find(self, name: str) -> Path | None:
        """Where a relative name leads, or None where that is outside of the folder or no name at all."""
        try:
            file = (self.root / name).resolve()
        except (ValueError, OSError, RuntimeError):  # a zero byte, a name too long, links that go round
            return None
        if file.is_relative_to(self._within):
            return file
        named_inside = Path(os.path.normpath(self.root / name)).is_relative_to(self.root)
        return file if named_inside and file.parent == self._blobs else None


def _blobs(root: Path) -> Path | None:
    for folder in (root, *root.parents):
        blobs = folder.parent.parent / "blobs"
        if folder.parent.name == "snapshots" and blobs.is_dir() and not blobs.is_symlink():
            return blobs.resolve()
    return None

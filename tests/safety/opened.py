"""Which files are opened while something runs, as Python's own audit says."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PYTHON = tuple({os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, *sys.path) if p and os.path.exists(p)})
_seen: list[tuple[str, bool]] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is not None and event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        _seen.append((os.fsdecode(arguments[0]), bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))))


sys.addaudithook(_hook)


@contextmanager
def opened(writing: bool = False) -> Iterator[list[Path]]:
    """The files that the block opens, links followed, but for those of Python itself; writing: those it writes to."""
    global _seen
    found: list[Path] = []
    _seen = []
    try:
        yield found
    finally:
        seen, _seen = _seen, None
        paths = {os.path.realpath(path) for path, writes in seen if writes or not writing}
        found += sorted(Path(p) for p in paths - {os.devnull} if not p.startswith(_PYTHON))

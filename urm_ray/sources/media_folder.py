"""Turns drafts into rows: finds the media that they name, reads and checks them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from urm_ray.clips import read_clip
from urm_ray.config_mix import WebConfig
from urm_ray.media import MediaError, read_image
from urm_ray.schema import PREFERENCE
from urm_ray.secrets import masked
from urm_ray.sources.archives import Archive, archives_in
from urm_ray.sources.draft import Draft, Encoded, File, Media
from urm_ray.sources.fields import FieldError
from urm_ray.sources.folder import Folder
from urm_ray.sources.frames import clip_of
from urm_ray.sources.registry import Rejected
from urm_ray.sources.web import Web

MAX_BYTES = 256 << 20
"""A picture or clip in a longer file is not read."""
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_ARCHIVES = ("*.zip*", "*/*.zip*")
_PACKED = ("*.tar*", "*.tgz", "*.7z", "*.rar", "*/*.tar*", "*/*.tgz")


class MediaFolder:
    """The media of a data set: loose files below a folder, or zip archives in it and in the folders right below it,
    which are read in place as if they had been unpacked beside themselves or into a folder of their own name.

    A loose file comes before one in an archive. Media named by URL are fetched as `web` allows, which is not at all if
    it names no hosts. SourceError if there is no folder at `path`.
    """

    def __init__(self, path: str, web: WebConfig | None = None) -> None:
        self.folder, self.web = Folder(path), Web(web or WebConfig())
        self._last: dict[Media, dict[str, Any]] = {}

    def fill(self, draft: Draft) -> dict[str, Any] | Rejected:
        """The `schema.PREFERENCE` row of a draft, its media read and checked by decoding them; clips at both ends."""
        shown: dict[Media, dict[str, Any]] = {}
        try:
            for media in [*draft["context"], *(c["media"] for c in draft["candidates"] if c["media"])]:
                # Data sets judge the same clip in several dimensions, or a picture against several, row after row.
                shown[media] = self._last[media] if media in self._last else self.read(media)
        except FieldError as error:
            return Rejected(draft["preference_id"], error.reason, error.detail)
        finally:
            self._last = shown
        context = [shown[media] for media in draft["context"]]
        candidates = [c | {"media": c["media"] and shown[c["media"]]} for c in draft["candidates"]]
        row = draft | {"context": context, "candidates": candidates}
        return {name: row[name] for name in PREFERENCE.names}

    def read(self, media: Media) -> dict[str, Any]:
        """The `schema.MEDIA` row of a picture or clip; FieldError, such as "missing picture" or "undecodable clip"."""
        what = "clip" if media.kind == "video" else "picture"
        where = f"{_path_of(media)}: " if _path_of(media) else ""
        try:
            if isinstance(media, Encoded):
                return (read_clip if media.kind == "video" else read_image)(media.data)
            if isinstance(media, File) and not (media.kind == "video" and self._is_folder(media.path)):
                return (read_clip if media.kind == "video" else read_image)(self._bytes(media.path, what))
            paths, fps = ([media.path], 1.0) if isinstance(media, File) else (media.paths, media.fps)
            return clip_of(self._all_bytes(self._frames(paths)), fps)
        except MediaError as error:
            raise FieldError(f"undecodable {what}", f"{where}{error}") from None
        except OSError as error:
            raise FieldError(f"unreadable {what}", f"{where}{error.strerror or error}") from None

    def _frames(self, paths: Sequence[str]) -> list[str]:
        """Paths of pictures; those in a folder that is among the paths are in the order of their names' numbers."""
        found: list[str] = []
        for path in paths:
            found += self._pictures_in(path) if self._is_folder(path) else [path]
        return found

    def _all_bytes(self, paths: Sequence[str]) -> list[bytes]:
        found: list[bytes] = []
        left = MAX_BYTES
        for path in paths:
            found.append(self._bytes(path, "clip"))
            left -= len(found[-1])
            if left < 0:
                raise MediaError(f"its frames have more than {MAX_BYTES} bytes")
        return found

    def _bytes(self, path: str, what: str) -> bytes:
        """The content of a file; FieldError where there is none, MediaError where it cannot be had."""
        if "://" in path:
            return self.web.fetch(path)
        file = self.folder.find(path)
        if file is None:
            raise FieldError(f"{what} outside of the folder", path[:200])
        if file.is_file():
            size = file.stat().st_size
            if size > MAX_BYTES:
                raise MediaError(f"{size} bytes are more than the {MAX_BYTES} allowed")
            return file.read_bytes()
        for archive, name in self._places(path):
            member = archive.find(name)
            if member is not None:
                return archive.read(member, MAX_BYTES)
        raise FieldError(f"missing {what}", path[:200] + self._hint)

    def _is_folder(self, path: str) -> bool:
        if "://" in path or posixpath.splitext(path)[1].lower() in _PICTURES:
            return False
        file = self.folder.find(path)
        if file is None or file.exists():
            return file is not None and file.is_dir()
        return any(archive.names(name) for archive, name in self._places(path))

    def _pictures_in(self, path: str) -> list[str]:
        file = self.folder.find(path)
        if file is not None and file.is_dir():
            names = [entry.name for entry in file.iterdir()]
        else:
            listed = next(filter(None, (archive.names(name) for archive, name in self._places(path))), [])
            names = [posixpath.basename(name) for name in listed]
        pictures = [n for n in names if n.lower().endswith(_PICTURES) and n[0] != "."]
        return [posixpath.join(path, name) for name in sorted(pictures, key=_by_numbers)]

    def _places(self, path: str) -> list[tuple[Archive, str]]:
        """Each archive that could hold a path, with the name that the path has in it."""
        path = posixpath.normpath(path)
        found = []
        for base, archive in self._archives:
            for folder in (posixpath.dirname(base), base.removesuffix(".zip").removesuffix(".ZIP")):
                if not folder or path.startswith(folder + "/"):
                    found.append((archive, path[len(folder) + 1 :] if folder else path))
        return found

    @cached_property
    def _archives(self) -> list[tuple[str, Archive]]:
        """(name, archive) by name."""
        root = self.folder.root
        names = [p.relative_to(root).as_posix() for pattern in _ARCHIVES for p in root.glob(pattern)]
        found = archives_in([name for name in names if (file := self.folder.find(name)) and file.is_file()])
        return [(name, Archive([Path(root / file) for file in found[name]])) for name in sorted(found)]

    @cached_property
    def _hint(self) -> str:
        packed = sorted(p.name for pattern in _PACKED for p in self.folder.root.glob(pattern) if p.is_file())
        return f" (unpack {packed[0]} first)" if packed else ""


def _path_of(media: Media) -> str:
    if isinstance(media, Encoded):
        return ""
    return masked(media.path if isinstance(media, File) else "".join(media.paths[:1]))


def _by_numbers(name: str) -> list[tuple[int, str]]:
    """Orders names as people do: frame_2 comes before frame_10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in parts]

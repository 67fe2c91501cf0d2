"""Prompts from a file: a prompt a line, or a JSON object a line with `prompt` and, if you like, more.

`prompt_id` names it; `images` and `videos` list what it asks about, as paths inside the file's folder, pictures first;
`candidates` lists what was made for it before (`urm_ray.sources.candidates`). A .csv has these as columns: lines of the
same prompt are one prompt, to which each may add a `candidate`, an `image` and a `video`.

A file on an object store names objects below its own prefix; each is read when its line is.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from urm_ray import store
from urm_ray.clips import read_clip
from urm_ray.config_training import Task
from urm_ray.file_systems import is_object, join, parent_of
from urm_ray.local_copies import local_copy
from urm_ray.media import MediaError, read_image
from urm_ray.schema import PROMPT, digest
from urm_ray.secrets import masked
from urm_ray.sources.check import MAX_CHARACTERS, text_problem
from urm_ray.sources.folder import Folder
from urm_ray.sources.media_folder import MAX_BYTES
from urm_ray.sources.records import CsvRecords
from urm_ray.sources.registry import Part, Rejected, SourceError
from urm_ray.sources.split import split

MEDIA: dict[str, tuple[str, Callable[[bytes], dict[str, Any]]]] = {
    "images": ("picture", read_image),
    "videos": ("clip", read_clip),
}
"""Keys of a line that list media, with what they are called and how they are read."""
CANDIDATES = "candidates"
COLUMNS = {"image": "images", "video": "videos", "candidate": CANDIDATES}
"""Columns of a .csv that each add one to a list."""


class PromptFile:
    """`path` ends in .txt (a prompt a line), .jsonl or .csv, and may be a URI of an object store. A broken line costs
    that line, a repeated prompt counts once."""

    def __init__(self, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> None:
        self.prefix = parent_of(path) if path and is_object(path) else None
        path = local_copy(path) if path and self.prefix else path
        if not path or not Path(path).is_file():
            raise SourceError(f"prepare.prompts_path: there is no prompt file {path!r}")
        self.path, self.seed, self.task, self.wanted = Path(path), seed, task, wanted

    @cached_property
    def rows(self) -> list[dict[str, Any] | Rejected]:
        """What the lines give, in order: `schema.PROMPT` rows whose context is named, as (key, path), and with the
        names of `candidates`."""
        rows: list[dict[str, Any] | Rejected] = []
        prompts, ids = set(), set()
        for where, value in self._lines():
            row = value if isinstance(value, Rejected) else self._row(where, value)
            if isinstance(row, dict) and (row["prompt"], *row["context"]) in prompts:
                continue
            if isinstance(row, dict) and row["prompt_id"] in ids:
                row = Rejected(where, "repeated prompt_id", row["prompt_id"])
            if isinstance(row, dict):
                prompts.add((row["prompt"], *row["context"]))
                ids.add(row["prompt_id"])
            rows.append(row)
        if not rows:
            raise SourceError(f"the prompt file {self.path} holds no prompts")
        return rows

    @cached_property
    def _parts(self) -> dict[str, list[int]]:
        ids = [row["prompt_id"] if isinstance(row, dict) else row.row_id for row in self.rows]
        heldout, train = split(
            ids, self.seed, self.wanted.get("heldout_prompts", 0), self.wanted.get("train_prompts", 0)
        )
        return {"heldout_prompts": heldout, "train_prompts": train}

    def size(self, part: Part) -> int:
        return len(self._parts.get(part, []))

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        for i in self._parts[part][start:stop]:
            row = self.rows[i]
            yield self._with_media(row) if isinstance(row, dict) else row

    def media(self, key: str, name: str) -> dict[str, Any] | str:
        """The `schema.MEDIA` value of a file that a line names, or why it cannot be had. key: of `MEDIA`."""
        what, read = MEDIA[key]
        file = Folder(str(self.path)).find(name)
        if file is None:
            return f"{what} outside of the prompt file's folder: {name}"
        if "://" in name:
            return f"{what} is no local file: {masked(name)[:200]}"
        try:
            return read(_read(file) if self.prefix is None else self._fetched(self.prefix, file))
        except OSError as error:
            return f"unreadable {what}: {name}: {error.strerror}"
        except MediaError as error:
            return f"undecodable {what}: {name}: {error}"

    def _fetched(self, prefix: str, file: Path) -> bytes:
        """The object that has the place below the prefix which a file has beside the copy of the prompt file."""
        name = file.relative_to(self.path.parent.resolve()).as_posix()
        if "?" in name:  # what follows it in a URI says how the store is spoken to
            raise OSError(errno.EINVAL, "names on an object store have no question mark")
        place = join(prefix, name)
        size = store.size_if_file(place)
        if size is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        _need_short(size)
        return store.read_bytes(place)

    def _with_media(self, row: dict[str, Any]) -> dict[str, Any] | Rejected:
        """The `schema.PROMPT` row of a line, with pictures and clips in place of their paths."""
        context = []
        for key, name in row["context"]:
            media = self.media(key, name)
            if isinstance(media, str):
                return Rejected(row["prompt_id"], *media.split(": ", 1))
            context.append(media)
        return {name: row[name] for name in PROMPT.names} | {"context": context}

    def _lines(self) -> Iterator[tuple[str, Any]]:
        """What stands in each line, or in the lines of one prompt, and where; what cannot be read as its `Rejected`."""
        if self.path.suffix == ".csv":
            yield from self._csv_lines()
            return
        for number, line in enumerate(self.path.read_bytes().splitlines(), start=1):
            where = f"{self.path.name}:{number}"
            if line.strip():
                try:
                    text = line.decode("utf-8-sig").strip()
                    yield where, json.loads(text) if self.path.suffix == ".jsonl" else text
                except UnicodeError:
                    yield where, Rejected(where, "not UTF-8")
                except (ValueError, RecursionError) as error:
                    yield where, Rejected(where, "not JSON", str(error))

    def _csv_lines(self) -> Iterator[tuple[str, Any]]:
        lines = CsvRecords(str(self.path.resolve()), ["prompt"])
        found: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
        for unit in lines.units(sys.maxsize):
            for where, line in lines.read(unit):
                if isinstance(line, Rejected):
                    yield where, line
                    continue
                prompt, named = line["prompt"], line.get("prompt_id") or ""
                fresh: dict[str, Any] = {"prompt": prompt, "prompt_id": named}
                fresh |= {many: [] for many in COLUMNS.values()}
                _, value = found.setdefault((prompt, named), (where, fresh))
                for column, many in COLUMNS.items():
                    value[many] += [line[column]] if line.get(column) and line[column] not in value[many] else []
        yield from found.values()

    def _row(self, where: str, value: Any) -> dict[str, Any] | Rejected:
        """A row whose context, and candidates if it has any, are names of files or texts."""
        prompt, named = (value.get("prompt"), value.get("prompt_id")) if isinstance(value, dict) else (value, None)
        try:
            f"{prompt}{named}".encode()  # JSON can escape what UTF-8 cannot say
        except UnicodeError:
            return Rejected(where, "not UTF-8")
        if not isinstance(prompt, str) or not prompt.strip():
            return Rejected(where, "no prompt text")
        if bad := text_problem(prompt, "prompt", MAX_CHARACTERS):
            return Rejected(where, *bad)
        lists: dict[str, list[str]] = {}
        for key in (*MEDIA, CANDIDATES):
            lists[key] = names = value.get(key) or [] if isinstance(value, dict) else []
            if not isinstance(names, list) or not all(isinstance(name, str) and "\0" not in name for name in names):
                what = "texts or paths" if key == CANDIDATES else "paths"
                return Rejected(where, f"{key} is not a list of {what}", str(names)[:80])
        about = [(key, name) for key in MEDIA for name in lists[key]]
        prompt = prompt.strip()
        return {
            "prompt_id": digest("prompt", prompt, *[name for _, name in about]) if named in (None, "") else str(named),
            "task": self.task,
            "prompt": prompt,
            "context": about,
            "source": self.path.name,
            CANDIDATES: lists[CANDIDATES],
        }


def _read(file: Path) -> bytes:
    if file.exists() and not file.is_file():  # reading from a pipe or a device may never end
        raise OSError(errno.EINVAL, "it is no file")
    _need_short(file.stat().st_size)
    return file.read_bytes()


def _need_short(size: int) -> None:
    if size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {MAX_BYTES} bytes")

"""Prompts from a text file: a prompt a line, or a JSON object a line with `prompt` and, if you like, more.

`prompt_id` names it; `images` and `videos` list what it asks about, as paths inside the file's folder, pictures first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from urm_ray.clips import read_clip
from urm_ray.config import Task
from urm_ray.media import MediaError, read_image
from urm_ray.schema import digest
from urm_ray.sources.registry import Part, Rejected, SourceError
from urm_ray.sources.split import split

MAX_CHARACTERS = 4000
MEDIA: dict[str, tuple[str, Callable[[bytes], dict[str, Any]]]] = {
    "images": ("picture", read_image),
    "videos": ("clip", read_clip),
}
"""Keys of a line that list media, with what they are called and how they are read."""


class PromptFile:
    """`path` ends in .txt (a prompt a line) or .jsonl. A broken line costs that line, a repeated prompt counts once."""

    def __init__(self, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> None:
        if not path or not Path(path).is_file():
            raise SourceError(f"prepare.prompts_path: there is no prompt file {path!r}")
        self.path, self.seed, self.task, self.wanted = Path(path), seed, task, wanted

    @cached_property
    def _rows(self) -> list[dict[str, Any] | Rejected]:
        rows: list[dict[str, Any] | Rejected] = []
        prompts, ids = set(), set()
        for number, line in enumerate(self.path.read_bytes().splitlines(), start=1):
            row = self._row(f"{self.path.name}:{number}", line) if line.strip() else None
            if row is None or (isinstance(row, dict) and (row["prompt"], *row["context"]) in prompts):
                continue
            if isinstance(row, dict) and row["prompt_id"] in ids:
                row = Rejected(f"{self.path.name}:{number}", "repeated prompt_id", row["prompt_id"])
            if isinstance(row, dict):
                prompts.add((row["prompt"], *row["context"]))
                ids.add(row["prompt_id"])
            rows.append(row)
        if not rows:
            raise SourceError(f"the prompt file {self.path} holds no prompts")
        return rows

    @cached_property
    def _parts(self) -> dict[str, list[int]]:
        ids = [row["prompt_id"] if isinstance(row, dict) else row.row_id for row in self._rows]
        heldout, train = split(
            ids, self.seed, self.wanted.get("heldout_prompts", 0), self.wanted.get("train_prompts", 0)
        )
        return {"heldout_prompts": heldout, "train_prompts": train}

    def size(self, part: Part) -> int:
        return len(self._parts.get(part, []))

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        for i in self._parts[part][start:stop]:
            row = self._rows[i]
            yield self._with_media(row) if isinstance(row, dict) and row["context"] else row

    def _with_media(self, row: dict[str, Any]) -> dict[str, Any] | Rejected:
        """The row with pictures and clips in place of their paths."""
        folder, context = self.path.parent.resolve(), []
        for key, name in row["context"]:
            what, read = MEDIA[key]
            file = (folder / name).resolve()
            if not file.is_relative_to(folder):
                return Rejected(row["prompt_id"], f"{what} outside of the prompt file's folder", name)
            try:
                context.append(read(file.read_bytes()))
            except OSError as error:
                return Rejected(row["prompt_id"], f"unreadable {what}", f"{name}: {error.strerror}")
            except MediaError as error:
                return Rejected(row["prompt_id"], f"undecodable {what}", f"{name}: {error}")
        return row | {"context": context}

    def _row(self, where: str, line: bytes) -> dict[str, Any] | Rejected:
        try:
            text = line.decode("utf-8-sig").strip()
            value = json.loads(text) if self.path.suffix == ".jsonl" else text
            prompt, named = (value.get("prompt"), value.get("prompt_id")) if isinstance(value, dict) else (value, None)
            f"{prompt}{named}".encode()  # JSON can escape what UTF-8 cannot say
        except UnicodeError:
            return Rejected(where, "not UTF-8")
        except (ValueError, RecursionError) as error:
            return Rejected(where, "not JSON", str(error))
        if not isinstance(prompt, str) or not prompt.strip():
            return Rejected(where, "no prompt text")
        if len(prompt) > MAX_CHARACTERS:
            return Rejected(where, "prompt too long", f"{len(prompt)} characters, {MAX_CHARACTERS} at most")
        about: list[tuple[str, str]] = []
        for key in MEDIA:
            names = value.get(key) or [] if isinstance(value, dict) else []
            if not isinstance(names, list) or not all(isinstance(name, str) and "\0" not in name for name in names):
                return Rejected(where, f"{key} is not a list of paths", str(names)[:80])
            about += [(key, name) for name in names]
        prompt = prompt.strip()
        return {
            "prompt_id": digest("prompt", prompt, *[name for _, name in about]) if named in (None, "") else str(named),
            "task": self.task,
            "prompt": prompt,
            "context": about,
            "source": self.path.name,
        }

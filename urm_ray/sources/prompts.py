"""Prompts from a text file: one prompt a line, or one JSON object a line with `prompt` and, if you like, `prompt_id`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from urm_ray.schema import digest
from urm_ray.sources.registry import Part, Rejected, SourceError
from urm_ray.sources.split import split

MAX_CHARACTERS = 4000


class PromptFile:
    """`path` ends in .txt (a prompt a line) or .jsonl. A broken line costs that line."""

    def __init__(self, path: str | None, seed: int, wanted: dict[str, int]) -> None:
        if not path or not Path(path).is_file():
            raise SourceError(f"prepare.prompts_path: there is no prompt file {path!r}")
        self.path, self.seed, self.wanted = Path(path), seed, wanted

    @cached_property
    def _lines(self) -> list[tuple[int, bytes]]:
        lines = [(n, line) for n, line in enumerate(self.path.read_bytes().splitlines(), start=1) if line.strip()]
        if not lines:
            raise SourceError(f"the prompt file {self.path} holds no prompts")
        return lines

    @cached_property
    def _parts(self) -> dict[str, list[int]]:
        ids = [digest(line) for _, line in self._lines]
        first = list(dict(zip(reversed(ids), reversed(range(len(ids))), strict=True)).values())  # a repeated prompt counts once
        first.sort()
        heldout, train = split(
            [ids[i] for i in first], self.seed, self.wanted.get("heldout_prompts", 0), self.wanted.get("train_prompts", 0)
        )
        return {"heldout_prompts": [first[i] for i in heldout], "train_prompts": [first[i] for i in train]}

    def size(self, part: Part) -> int:
        return len(self._parts.get(part, []))

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        for i in self._parts[part][start:stop]:
            yield self._row(*self._lines[i])

    def _row(self, number: int, line: bytes) -> dict[str, Any] | Rejected:
        where = f"{self.path.name}:{number}"
        try:
            text = line.decode("utf-8").strip()
            value = json.loads(text) if self.path.suffix == ".jsonl" else {"prompt": text}
        except UnicodeDecodeError:
            return Rejected(where, "not UTF-8")
        except json.JSONDecodeError as error:
            return Rejected(where, "not JSON", str(error))
        prompt = value.get("prompt") if isinstance(value, dict) else value
        if not isinstance(prompt, str) or not prompt.strip():
            return Rejected(where, "no prompt text")
        if len(prompt) > MAX_CHARACTERS:
            return Rejected(where, "prompt too long", f"{len(prompt)} characters, {MAX_CHARACTERS} at most")
        named = value.get("prompt_id") if isinstance(value, dict) else None
        return {
            "prompt_id": str(named) if named else digest("prompt", prompt), "task": "image_generation", "prompt": prompt.strip(),
            "context": [], "source": self.path.name,
        }

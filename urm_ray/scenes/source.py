"""The embedded world as one source for any of its tasks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from urm_ray.scenes.clip_preferences import ClipScenes
from urm_ray.scenes.preferences import Scenes
from urm_ray.sources.registry import PARTS, Part, Rejected, SourceError

TASKS = {source.task: source for source in (Scenes, ClipScenes)}


class World:
    """Rows of the tasks that `path` names, separated by commas, in turn; of pictures alone where there is no path."""

    def __init__(self, path: str | None, seed: int, wanted: dict[str, int]) -> None:
        names = [name.strip() for name in (path or Scenes.task).split(",")]
        unknown = [name for name in names if name not in TASKS]
        if unknown or len(set(names)) < len(names):
            raise SourceError(f"the embedded world has the tasks {', '.join(TASKS)}, each once, not {path!r}")
        share = {part: -(-count // len(names)) for part, count in wanted.items()}
        self.wanted, self.sources = wanted, [TASKS[name](None, seed, share) for name in names]

    @cached_property
    def _plan(self) -> dict[str, list[tuple[int, int]]]:
        """For each part, which row of which task each of its rows is."""
        return {
            part: sorted((n, i) for i, source in enumerate(self.sources) for n in range(source.size(part)))[
                : self.wanted.get(part, 0)
            ]
            for part in PARTS
        }

    def size(self, part: Part) -> int:
        return len(self._plan[part])

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        plan = self._plan[part][start:stop]
        rows: list[Iterator[dict[str, Any] | Rejected]] = []
        for i, source in enumerate(self.sources):
            own = [n for n, j in plan if j == i] or [0]
            rows.append(source.read(part, own[0], own[-1] + 1))  # in turn, so without gaps
        for _, i in plan:
            yield next(rows[i])

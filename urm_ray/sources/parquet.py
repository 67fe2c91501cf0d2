"""Preferences from parquet files that already have our own schema (`urm_ray.schema.PREFERENCE`)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from urm_ray.config import Task
from urm_ray.schema import KINDS, PREFERENCE
from urm_ray.sources.registry import Part, Rejected, SourceError
from urm_ray.sources.split import held_out_prompts, split


class ParquetPreferences:
    """`path` is a folder of parquet files or one file. No prompt is both held out and trained on."""

    def __init__(self, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> None:
        if not path or not Path(path).exists():
            raise SourceError(f"prepare.preferences_path: there is no file or folder {path!r}")
        try:
            self.dataset = pads.dataset(path, format="parquet")
            columns = set(self.dataset.schema.names)
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None
        missing = [name for name in PREFERENCE.names if name not in columns]
        if missing:
            raise SourceError(f"{path} lacks the columns {', '.join(missing)}")
        self.seed, self.task, self.wanted = seed, task, wanted

    @cached_property
    def _parts(self) -> dict[str, list[int]]:
        table = self.dataset.to_table(["preference_id", "task", "kind", "prompt"])
        ids, prompts = table["preference_id"].to_pylist(), table["prompt"].to_pylist()
        own = pc.equal(table["task"], self.task)
        rows = {kind: pc.indices_nonzero(pc.and_(own, pc.equal(table["kind"], kind))).to_pylist() for kind in KINDS}
        kept = set().union(
            *(
                held_out_prompts([prompts[i] for i in found], self.seed, self.wanted.get(f"heldout_{kind}s", 0))
                for kind, found in rows.items()
            )
        )
        parts: dict[str, list[int]] = {}
        for kind, found in rows.items():
            for name, wanted_out in (("heldout", True), ("train", False)):
                able = [i for i in found if (prompts[i] in kept) == wanted_out]
                chosen, _ = split([ids[i] for i in able], self.seed, self.wanted.get(f"{name}_{kind}s", 0), 0)
                parts[f"{name}_{kind}s"] = [able[i] for i in chosen]
        return parts

    def size(self, part: Part) -> int:
        return len(self._parts.get(part, []))

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        numbers = self._parts[part][start:stop]
        if numbers:
            yield from self.dataset.take(numbers, columns=PREFERENCE.names).cast(PREFERENCE).to_pylist()

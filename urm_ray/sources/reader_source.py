"""A published data set as the preferences of a run, without a copy of it.

For data that are read in seconds, such as one's own labels in a csv. Large ones are read once with
`jobs/prepare_data.py --source`, and the run then reads what that wrote (`urm_ray.sources.parquet`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from urm_ray.config_training import Task
from urm_ray.schema import KINDS
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.reader import Unit, reader
from urm_ray.sources.registry import Part, Rejected, SourceError
from urm_ray.sources.split import held_out_prompts, split

UNIT_ROWS = 1000
Place = tuple[int, int]
"""Number of a unit, and of what a reader gives in it."""


class ReaderSource:
    """What the reader of this name (`READERS`) finds at a path. No prompt is both held out and trained on.

    Records that give no row are put aside with the held-out pairs of the run's first kind of row, once each.
    """

    def __init__(self, name: str, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> None:
        if not path:
            raise SourceError(f"prepare.preferences_path: the source {name} needs a folder or file")
        self.reader, self.media = reader(name, path), MediaFolder(path)
        self.seed, self.task, self.wanted = seed, task, wanted

    @cached_property
    def _units(self) -> list[Unit]:
        return list(self.reader.units(UNIT_ROWS))

    @cached_property
    def _parts(self) -> dict[str, list[Place]]:
        """Where the rows of each part are. Of the records only places, ids and prompts are held."""
        found: dict[str, list[tuple[Place, str, str]]] = {kind: [] for kind in KINDS}
        rejected: list[Place] = []
        for number, unit in enumerate(self._units):
            for place, draft in enumerate(self.reader.drafts(unit)):
                if isinstance(draft, Rejected):
                    rejected.append((number, place))
                elif draft["task"] == self.task:
                    found[draft["kind"]].append(((number, place), draft["preference_id"], draft["prompt"]))
        kept = set().union(
            *(
                held_out_prompts([prompt for *_, prompt in rows], self.seed, self.wanted.get(f"heldout_{kind}s", 0))
                for kind, rows in found.items()
            )
        )
        parts: dict[str, list[Place]] = {}
        for kind, rows in found.items():
            for name, out in (("heldout", True), ("train", False)):
                able = [(place, i) for place, i, prompt in rows if (prompt in kept) == out]
                chosen, _ = split([i for _, i in able], self.seed, self.wanted.get(f"{name}_{kind}s", 0), 0)
                parts[f"{name}_{kind}s"] = [able[k][0] for k in chosen]
        first = next((part for part in ("heldout_pairs", "heldout_points") if parts[part]), "heldout_pairs")
        parts[first] = parts[first] + rejected
        return parts

    def size(self, part: Part) -> int:
        return len(self._parts.get(part, []))

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        places = self._parts[part][start:stop]
        drafts: dict[Place, Any] = {}
        for number in sorted({number for number, _ in places}):
            wanted = {place for unit, place in places if unit == number}
            drafts |= {
                (number, place): draft
                for place, draft in enumerate(self.reader.drafts(self._units[number]))
                if place in wanted
            }
        for place in places:
            draft = drafts[place]
            yield draft if isinstance(draft, Rejected) else self.media.fill(draft)

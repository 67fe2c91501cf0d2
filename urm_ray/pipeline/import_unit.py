"""What a worker does of an import: reads one unit of a source, checks its rows and writes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import Any, Literal

import pyarrow as pa

from urm_ray import schema, store
from urm_ray.config_mix import WebConfig
from urm_ray.pipeline.attempts import Attempts, Care
from urm_ray.pipeline.quarantine import put_aside
from urm_ray.pipeline.row_groups import RowGroups
from urm_ray.pipeline.units import file_name
from urm_ray.sources.check import check_shape
from urm_ray.sources.choice import lot, prompt_key
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.reader import Reader, reader
from urm_ray.sources.registry import Rejected

UNITS, QUARANTINE, HELD_OUT = "_units", "_quarantine", "_held_out"
"""Folders beside the sources' own; what reads the result passes over names that begin with an underscore."""
LISTED = pa.schema([("lot", pa.string()), ("prompt", pa.string())])
OTHER, KEPT_OUT = "of another task, kind or dimension", "prompt is held out"

Step = Literal["list", "read", "held"]
"""list: what rows there are, without their media. read: into the source's folder. held: the held-out rows."""


@dataclass(frozen=True)
class Errand:
    """A unit of a source and what is to be done with it. Rows with lots after `after` up to `upto` are read; all rows
    where `upto` is empty. round: how many draws there were before."""

    name: str
    unit: int
    part: dict[str, Any]
    step: Step = "read"
    round: int = 0
    after: str = ""
    upto: str = ""

    @property
    def file(self) -> str:
        """The unit's file in a folder of its source."""
        return file_name(self.unit) if not self.round else f"round-{self.round:02d}-{file_name(self.unit)}"

    @property
    def report(self) -> str:
        """The file that makes the errand done, below the import's folder."""
        return store.join(UNITS, self.name, self.step, self.file.replace(".parquet", ".json"))

    def row(self) -> dict[str, str]:
        return {"errand": json.dumps(asdict(self))}


class ImportUnit:
    """Does errands of an import into `folder`, and returns for each how many rows were kept.

    sources: by name, the settings of each (`config_mix.MixSource`), its path and its media's path being local ones.
    held_out: keys of the prompts that are read by the step `held` alone. web: what media may be fetched from.
    """

    def __init__(
        self,
        folder: str,
        seed: int,
        sources: dict[str, dict[str, Any]],
        held_out: frozenset[str],
        web: WebConfig | None = None,
    ) -> None:
        self.share(None, 1)
        self.folder, self.seed, self.sources, self.held_out = folder, seed, sources, held_out
        self.web = (web or WebConfig()).model_dump_json()

    def share(self, care: Care | None, rows: int) -> None:
        """From now on the attempts of all copies of this object are in one ledger. rows: of a unit, at most."""
        self.attempts, self.rows = Attempts("importing", care), rows

    def __call__(self, batch: pa.Table) -> pa.Table:
        kept = [self.work(Errand(**json.loads(text))) for text in batch["errand"].to_pylist()]
        return pa.table({"kept": pa.array(kept, pa.int64())})

    def work(self, errand: Errand) -> int:
        name = f"{errand.step} {errand.round} unit {errand.unit} of {errand.name}"
        return self.attempts.together(name, self.rows, partial(self._joint, errand), partial(self._each, errand))

    def _each(self, errand: Errand) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Every row with media, whether it is this errand's business or not."""
        if errand.step != "list":
            wanted = self.sources[errand.name]
            media = _media(wanted["media"] or wanted["path"], self.web)
            for draft in _reader(wanted["source"], wanted["path"]).drafts(errand.part):
                if not isinstance(draft, Rejected) and not check_shape(draft):
                    yield draft["preference_id"], partial(media.fill, draft)

    def _joint(self, errand: Errand, aside: dict[str, str]) -> int:
        counts: Counter[str] = Counter()
        left_out: Counter[str] = Counter()
        rejected: list[Rejected] = []
        folder = {"list": (UNITS, errand.name, "list"), "read": (errand.name,), "held": (HELD_OUT, errand.name)}
        target = store.join(self.folder, *folder[errand.step], errand.file)
        with RowGroups(target, LISTED if errand.step == "list" else schema.PREFERENCE) as rows:
            for found in self._rows(errand, left_out, aside):
                counts["seen"] += 1
                if isinstance(found, Rejected):
                    rejected.append(found)
                else:
                    rows.add(found)
        place = store.join(self.folder, QUARANTINE, errand.name, errand.step, errand.file)
        put_aside(place, [{**r.__dict__, "stage": "import"} for r in rejected])
        report = {
            "seen": counts["seen"] + left_out.total(),
            "kept": rows.rows,
            "left_out": dict(left_out),
            "dropped": dict(Counter(r.reason for r in rejected)),
        }
        store.write_json(store.join(self.folder, errand.report), report)  # the last file: it makes the errand done
        return rows.rows

    def _rows(
        self, errand: Errand, left_out: Counter[str], aside: dict[str, str]
    ) -> Iterator[dict[str, Any] | Rejected]:
        """The rows of an errand; those that are none of its business are counted in `left_out`, unless they were when
        the source was listed."""
        wanted = self.sources[errand.name]
        media = None if errand.step == "list" else _media(wanted["media"] or wanted["path"], self.web)
        again = errand.step == "held" or bool(errand.upto)
        for draft in _reader(wanted["source"], wanted["path"]).drafts(errand.part):
            if isinstance(draft, Rejected):
                if not again:
                    yield draft
                continue
            other = [name for name in ("task", "kind", "dimension") if wanted[name] not in (None, draft[name])]
            if other:
                left_out.update([] if again else [OTHER])
            elif problem := check_shape(draft):
                if not again:
                    yield replace(problem, row_id=draft["key"])
            elif media is None:
                yield {"lot": lot(self.seed, draft["preference_id"]), "prompt": prompt_key(draft["prompt"])}
            elif (prompt_key(draft["prompt"]) in self.held_out) != (errand.step == "held"):
                left_out.update([] if again else [KEPT_OUT])
            elif not errand.upto or errand.after < lot(self.seed, draft["preference_id"]) <= errand.upto:
                reason = aside.get(draft["preference_id"])
                row = Rejected(draft["key"], reason) if reason else media.fill(draft)
                yield replace(row, row_id=draft["key"]) if isinstance(row, Rejected) else row


@lru_cache(maxsize=2)
def _reader(name: str, path: str) -> Reader:
    return reader(name, path)


@lru_cache(maxsize=2)
def _media(path: str, web: str) -> MediaFolder:
    return MediaFolder(path, WebConfig.model_validate_json(web))

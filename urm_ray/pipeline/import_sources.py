"""Imports published data sets: their records, checked, as parquet in the schema, and counts of all that was left out.

    OUT/<name>/unit-000000.parquet, ...     the rows of each source
    OUT/_held_out/<name>/...                rows whose prompts are kept from training
    OUT/_quarantine/<name>/...              what could not be used, with its reason
    OUT/_units/                             which units of work are done; a restart goes on from there
    OUT/mix.json                            the counts, written last

OUT can be named as `prepare.preferences_path` as it is. Rows are drawn by lots (`urm_ray.sources.choice`), so that the
same settings and files give the same bytes, however many workers there are and however often they were stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from urm_ray import store
from urm_ray.config_mix import Mix, MixSource
from urm_ray.pipeline.attempts import Care
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.import_report import MIX, import_lines, import_report
from urm_ray.pipeline.import_unit import QUARANTINE, UNITS, Errand, ImportUnit, Step
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.progress import Progress
from urm_ray.schema import digest
from urm_ray.secrets import masked_all
from urm_ray.sources.choice import Listed, draw, held_out, in_order
from urm_ray.sources.hub import local_path
from urm_ray.sources.reader import reader
from urm_ray.sources.registry import SourceError

FORMAT = 1
"""Raised when the same settings and files would give something else."""
PUT_ASIDE_SHARE = 0.05
"""Of the rows, that may end or break the process that reads them; an import with more stops."""
ROW_LIMIT_S = 600.0
"""A row that takes longer to be read, or fetched, is hung."""
MOST_BLOCKS = 1000
"""Ray Data plans so many tasks at most; each then does several units."""


@dataclass
class Import:
    """An import under way. parts: what each source's reader made units of."""

    mix: Mix
    folder: str
    sources: dict[str, MixSource]
    parts: dict[str, list[dict[str, Any]]]

    def run(self, name: str, errands: Sequence[Errand], held: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
        """Does those errands of a source that are not done, and returns the reports of all."""
        todo = [errand for errand in errands if not store.exists(store.join(self.folder, errand.report))]
        if todo:
            source = {name: self.sources[name].model_dump()}
            work = ImportUnit(self.folder, self.mix.seed, source, held, self.mix.web)
            progress = Progress(f"import: {name}, {todo[0].step}", len(todo), unit="units")
            for _ in spread(work, todo, self.mix.cpus, self.mix.unit_rows):
                progress.add(1)
            progress.show()
        return [store.read_json(store.join(self.folder, errand.report)) for errand in errands]

    def errands(self, name: str, step: Step, **draw: Any) -> Iterator[Errand]:
        """An errand of each unit of a source."""
        for unit, part in enumerate(self.parts[name]):
            yield Errand(name, unit, part, step, **draw)

    def listed(self, name: str) -> list[Listed]:
        """The rows that there are in a source."""
        errands = list(self.errands(name, "list"))
        reports = self.run(name, errands)
        rows = []
        for errand, report in zip(errands, reports, strict=True):
            if report["kept"]:
                table = store.read_table(store.join(self.folder, UNITS, name, "list", errand.file))
                rows += [Listed(row["lot"], row["prompt"], errand.unit) for row in table.to_pylist()]
        return rows

    def take(self, name: str, rows: Sequence[Listed], wanted: int, held: frozenset[str]) -> None:
        """Reads rows in the order of their lots until so many were usable. What turns out broken is replaced by the
        next in order, in rounds, so that the choice is the same whoever reads."""
        kept = start = rounds = 0
        while kept < wanted and start < len(rows):
            drawn = draw(rows, start, wanted - kept)
            errands = [
                Errand(name, unit, self.parts[name][unit], "read", rounds, drawn.after, drawn.upto)
                for unit in drawn.units
            ]
            kept += sum(report["kept"] for report in self.run(name, errands, held))
            start, rounds = drawn.stop, rounds + 1


def spread(work: ImportUnit, errands: Sequence[Errand], cpus: float, unit_rows: int) -> Iterator[int]:
    """Does the errands, of so many rows, on all nodes, in any order, and says of each how many rows it kept."""
    connect()
    ledger = SharedLedger("import", len(errands) * unit_rows, PUT_ASIDE_SHARE)
    work.share(Care(ledger, ROW_LIMIT_S), unit_rows)
    rows = ray.data.from_items(
        [errand.row() for errand in errands], override_num_blocks=min(len(errands), MOST_BLOCKS)
    ).map_batches(work, batch_size=1, batch_format="pyarrow", num_cpus=cpus)
    yield from (row["kept"] for row in rows.iter_rows())


def import_sources(mix: Mix, folder: str) -> dict[str, Any]:
    """Reads the sources of a mix into a folder and returns what its mix.json holds.

    SourceError for sources that are not there or cannot be read at all, before anything is read, and where not one row
    can be used; StoreError where the folder holds an import of other settings or other files.
    """
    work = _planned(mix, folder)
    choosing = [name for name, source in work.sources.items() if source.chooses]
    rows = {name: work.listed(name) for name in choosing}
    held: frozenset[str] = frozenset().union(
        *(held_out(rows[name], mix.seed, work.sources[name].held_out) for name in choosing)
    )
    for name, source in work.sources.items():
        if source.held_out:
            units = {row.unit for row in rows[name] if row.prompt in held}
            work.run(name, [errand for errand in work.errands(name, "held") if errand.unit in units], held)
        if source.chooses:
            free = in_order(rows[name], held)
            work.take(name, free, len(free) if source.take == "all" else source.take, held)
        else:
            work.run(name, list(work.errands(name, "read")), held)
    found = import_report(mix, folder, {name: sum(row.prompt in held for row in own) for name, own in rows.items()})
    if not any(source["found"] for source in found["sources"]):
        reasons = sorted(
            {reason for source in found["sources"] for reason in (*source["dropped"], *source["left_out"])}
        )
        raise SourceError(
            f"there is no usable row in {', '.join(work.sources)}: {', '.join(reasons) or 'no records'}; what was put "
            f"aside is in {store.join(folder, QUARANTINE)}"
        )
    store.write_json(store.join(folder, MIX), found)
    print(*import_lines(found), sep="\n", flush=True)
    return found


def _planned(mix: Mix, folder: str) -> Import:
    """The import with its units, which are the same as when it was begun."""
    sources, problems = {}, []
    for source in mix.sources:
        try:
            places = {"path": place(mix, source.path), "media": source.media and place(mix, source.media)}
        except SourceError as error:
            problems.append(f"{source.name}: {error}")
            continue
        sources[source.name] = source.model_copy(update=places)
    if problems and not (mix.allow_missing and sources):
        raise SourceError("; ".join(problems))
    parts = {name: list(reader(s.source, s.path).units(mix.unit_rows)) for name, s in sources.items()}
    settings = mix.model_dump(exclude={"cpus"})
    plan = {"settings": masked_all(settings), "digest": digest(FORMAT, settings, parts)}
    path = store.join(folder, UNITS, "plan.json")
    if store.exists(path) and store.read_json(path)["digest"] != plan["digest"]:
        raise store.StoreError(
            f"{folder} holds an import of other settings or files: name another folder, or delete this one"
        )
    store.write_json(path, plan)
    return Import(mix, folder, sources, parts)


def place(mix: Mix, path: str) -> str:
    """Where a configured path lies on this machine; SourceError where it does not."""
    below = Path(mix.root).expanduser() / path
    return str(below.absolute()) if below.exists() else local_path(path)

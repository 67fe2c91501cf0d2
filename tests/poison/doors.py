"""The stages' work on rows, done here and now: what is kept of them, and what is put aside and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from helpers import picture

from urm_ray import store
from urm_ray.config import Config
from urm_ray.config_training import Task
from urm_ray.pipeline.import_unit import Errand, ImportUnit
from urm_ray.pipeline.prepare import PrepareUnit, part_source
from urm_ray.sources.reader import reader
from urm_ray.sources.registry import Part


@dataclass(frozen=True)
class Outcome:
    """data: the bytes of the file of rows, none where there is none. rows: what is in it. aside: "REASON: DETAIL" of
    what is not, by row."""

    data: bytes
    rows: list[dict[str, Any]]
    aside: dict[str, str]

    @classmethod
    def of(cls, kept: list[str], quarantines: list[str]) -> Outcome:
        rows = [row for file in kept for row in store.read_table(file).to_pylist()]
        listed = [row for file in quarantines for row in store.read_table(file).to_pylist()]
        aside: dict[str, str] = {}
        for row in listed:  # of a record that gives several rows there may be several reasons
            before = [aside[row["row_id"]]] if row["row_id"] in aside else []
            aside[row["row_id"]] = "; ".join([*before, f"{row['reason']}: {row['detail']}"])
        return cls(b"".join(Path(file).read_bytes() for file in kept), rows, aside)


def prepare(folder: Path, task: Task, part: Part, **settings: Any) -> Outcome:
    """What the stage `prepare` makes of one part, in one unit. settings: of its section."""
    config = Config.model_validate({"prepare": {part: 100, **settings}}).prepare.of_task(task).model_dump()
    config |= {name: 0 for name in config if name.startswith(("train_", "heldout_")) and name != part}
    out = folder / "prepared"
    size = part_source(config, 0, task, part).size(part)
    unit = pa.Table.from_pylist([{"part": part, "unit": 0, "start": 0, "stop": size}])
    (counts,) = PrepareUnit(config, 0, task, str(out))(unit).to_pylist()
    found = Outcome.of(
        store.list_files(str(out / part), ".parquet"), store.list_files(str(out / "quarantine" / part), ".parquet")
    )
    assert (counts["rows"], counts["rejected"]) == (len(found.rows), len(found.aside))
    return found


def prompts(folder: Path, lines: list[Any], task: Task = "image_generation") -> Outcome:
    """What `prepare` makes of a file of prompts with these lines."""
    folder.mkdir(exist_ok=True)
    (folder / "prompts.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return prepare(folder, task, "train_prompts", prompts="jsonl", prompts_path=str(folder / "prompts.jsonl"))


def write_media(folder: Path, data: bytes, name: str) -> None:
    """Four good pictures 0.png to 3.png, and what may be none."""
    folder.mkdir(exist_ok=True)
    for number in range(4):
        picture(number).save(folder / f"{number}.png")
    (folder / name).write_bytes(data)


def imported(folder: Path, lines: list[str]) -> Outcome:
    """What an import makes of labels in a csv with these lines."""
    folder.mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("\n".join(lines))
    return imported_from("csv", folder / "labels.csv", folder / "imported")


def imported_from(name: str, path: Path, out: Path) -> Outcome:
    """What an import writes below `out` of a data set."""
    settings = {"source": name, "path": str(path)} | dict.fromkeys(("media", "task", "kind", "dimension"))
    work = ImportUnit(str(out), 0, {name: settings}, frozenset())
    for number, part in enumerate(reader(name, str(path)).units(100)):
        work.work(Errand(name, number, part))
    quarantines = store.list_files(str(out / "_quarantine" / name / "read"), ".parquet")
    return Outcome.of(store.list_files(str(out / name), ".parquet"), quarantines)

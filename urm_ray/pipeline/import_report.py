"""What an import kept, what it left out and why, counted from the files that it wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from urm_ray import store
from urm_ray.config_mix import Mix, MixSource
from urm_ray.pipeline.import_unit import KEPT_OUT, UNITS
from urm_ray.pipeline.mix_report import KINDS_OF_ROWS, aligned
from urm_ray.schema import LABELS
from urm_ray.secrets import masked_all

MIX = "mix.json"
"""The file of an import that holds the report."""
NOT_TAKEN = "not drawn"
_COLUMNS = ["preference_id", *KINDS_OF_ROWS, "label", "rationale"]


def import_report(mix: Mix, folder: str, held_rows: Mapping[str, int]) -> dict[str, Any]:
    """The counts of an import whose rows are all written. No media are read.

    held_rows: for each source that was listed, how many of its rows have a held-out prompt. Returns

    sources: for each in order {name, source, path, task, kind, dimension, take} as asked, expected, found (rows),
    held_out (rows), seen (rows and rejected records that the reader gave), dropped and left_out (counts by reason).
    seen = found + held_out + all dropped + all left out;
    groups: for each task, kind, source, scale and dimension {rows, labels, rationales}, held-out rows aside;
    repeated_ids: rows whose id another row has.
    """
    sources = [_of_source(source, folder, held_rows.get(source.name)) for source in mix.sources]
    counts: Counter[tuple[Any, ...]] = Counter()
    ids: set[bytes] = set()
    rows = 0
    for source in mix.sources:
        for file in store.list_files(store.join(folder, source.name), ".parquet"):
            table = store.read_table(file, _COLUMNS)
            rows += len(table)
            ids |= {value.encode() for value in table["preference_id"].to_pylist()}
            scales = pc.struct_field(table["scale"], "name").to_pylist()
            said = pc.greater(pc.fill_null(pc.utf8_length(table["rationale"]), 0), 0).to_pylist()
            named = [table[name].to_pylist() for name in ("task", "kind", "source", "dimension", "label")]
            for task, kind, of, dimension, label, scale, why in zip(*named, scales, said, strict=True):
                counts[task, kind, of, scale, dimension, label, why] += 1
    return {
        "seed": mix.seed,
        "rows": rows,
        "repeated_ids": rows - len(ids),
        "sources": sources,
        "groups": _groups(counts),
    }


def _groups(counts: Mapping[tuple[Any, ...], int]) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for (*of, label, why), rows in sorted(counts.items(), key=lambda item: [str(value or "") for value in item[0]]):
        group = found.setdefault(
            tuple(of), {**dict(zip(KINDS_OF_ROWS, of, strict=True)), "rows": 0, "labels": {}, "rationales": 0}
        )
        group["rows"] += rows
        group["rationales"] += rows if why else 0
        if label is not None:
            group["labels"][label] = group["labels"].get(label, 0) + rows
    return list(found.values())


def _of_source(source: MixSource, folder: str, held_rows: int | None) -> dict[str, Any]:
    steps = {step: _total(store.join(folder, UNITS, source.name, step)) for step in ("list", "read", "held")}
    listed, read, held = steps.values()
    left_out = Counter(listed["left_out"]) + Counter(read["left_out"])
    if held_rows is not None:
        left_out[KEPT_OUT] = held_rows - _done(held)
        left_out[NOT_TAKEN] = listed["kept"] - held_rows - _done(read)
    names = {"name", "source", "path", "task", "kind", "dimension", "take", "expected"}
    asked = masked_all(source.model_dump(include=names))
    dropped = Counter(listed["dropped"]) + Counter(read["dropped"]) + Counter(held["dropped"])
    return asked | {
        "found": read["kept"],
        "held_out": held["kept"],
        "seen": (read if held_rows is None else listed)["seen"],
        "dropped": dict(sorted(dropped.items())),
        "left_out": {name: rows for name, rows in sorted(left_out.items()) if rows},
        "units": steps["read"]["units"] if held_rows is None else listed["units"],
    }


def _total(folder: str) -> dict[str, Any]:
    """The sum of the reports of one step."""
    total: dict[str, Any] = {"units": 0, "seen": 0, "kept": 0, "left_out": Counter(), "dropped": Counter()}
    for file in store.list_files(folder, ".json"):
        report = store.read_json(file)
        total["units"] += 1
        for name in ("seen", "kept"):
            total[name] += report[name]
        for name in ("left_out", "dropped"):
            total[name].update(report[name])
    return total


def _done(step: Mapping[str, Any]) -> int:
    return step["kept"] + step["dropped"].total()


def import_lines(report: Mapping[str, Any]) -> list[str]:
    """The report as tables for a terminal, and sentences about what is not as it was expected."""
    groups = []
    for group in report["groups"]:
        words = [str(group[name] or "-") for name in KINDS_OF_ROWS]
        labels = [group["labels"].get(label, 0) for label in LABELS]
        groups.append(words + _numbers(group["rows"], group["rationales"], *labels))
    heads = ["source", "task", "kind", "seen", "left out", "dropped", "held out", "found", "expected"]
    sources = []
    for source in report["sources"]:
        words = [str(source[name] or "-") for name in ("name", "task", "kind")]
        lost = [sum(source[what].values()) for what in ("left_out", "dropped")]
        here = [source[what] for what in ("held_out", "found", "expected")]
        sources.append(words + _numbers(source["seen"], *lost, *here))
    return [
        *aligned([[*KINDS_OF_ROWS, "rows", "rationales", *LABELS], *groups], len(KINDS_OF_ROWS)),
        "",
        *aligned([heads, *sources], 3),
        "",
        *_sentences(report),
    ]


def _sentences(report: Mapping[str, Any]) -> list[str]:
    said = []
    for source in report["sources"]:
        for what in ("left_out", "dropped"):
            said += [
                f"{source['name']}: {rows:,} {what.replace('_', ' ')}: {why}" for why, rows in source[what].items()
            ]
        here = source["found"] + source["held_out"]
        if not source["units"]:
            said.append(f"{source['name']}: there is nothing to read")
        if source["expected"] is not None and here != source["expected"]:
            said.append(f"{source['name']}: {here:,} rows where {source['expected']:,} were expected")
    if report["repeated_ids"]:
        said.append(f"{report['repeated_ids']:,} rows have an id that another row has")
    return said


def _numbers(*values: int | None) -> list[str]:
    return ["-" if value is None else f"{value:,}" for value in values]

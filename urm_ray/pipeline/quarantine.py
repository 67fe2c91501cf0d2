"""What of a stage's rows failed, gathered in one place: its `quarantine/` folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray import schema, store
from urm_ray.file_systems import name_of, parent_of
from urm_ray.pairs.sifting import DROP_REASONS, SURPLUS
from urm_ray.run_folder import Stage
from urm_ray.secrets import printed

FOLDER = "quarantine"
_ID = "prompt_id"
SCORER = "scorer"
"""What failed of a prompt that the independent scorer could not rate."""
NO_FAULT = {*DROP_REASONS, SURPLUS}
"""Why a pair is dropped that nothing is wrong with."""
_GOOD = ("first", "second", "tie", "score")


def failures(rows: pa.Table, stage: str) -> list[dict[str, Any]]:
    """`schema.QUARANTINE` rows of what failed in the rows of a stage: candidates that could not be made, verdicts that
    could not be had, prompts that could not be scored, pairs that cannot be trained on. The rows themselves stay, with
    what did not fail in them."""
    found: list[tuple[str, str, str]]
    if "candidates" in rows.column_names:
        found = [
            *_within(rows, "candidates", "error", ("index",)),
            *_within(rows, "pair_verdicts", "reason", ("first", "second")),
            *_within(rows, "point_verdicts", "reason", ("index",)),
            *_unscored(rows),
        ]
    elif "outcomes" in rows.column_names:
        found = list(_without_verdict(rows))
    else:
        found = []
        for column in {"dropped", "unfit"} & set(rows.column_names):
            reasons = zip(rows[_ID].to_pylist(), rows[column].to_pylist(), strict=True)
            found += [(i, reason, "pair") for i, reason in reasons if reason and reason not in NO_FAULT]
    return [{"row_id": i, "stage": stage, "reason": reason, "detail": detail} for i, reason, detail in found]


def _unscored(rows: pa.Table) -> list[tuple[str, str, str]]:
    """(row, reason, which) of the prompts that the independent scorer failed at."""
    if "unscored" not in rows.column_names:
        return []
    failed = rows.select([_ID, "unscored"]).filter(pc.is_valid(rows["unscored"]))
    return [(row[_ID], row["unscored"], SCORER) for row in failed.to_pylist()]


def _without_verdict(rows: pa.Table) -> Iterator[tuple[str, str, str]]:
    """(row, reason, which) of the verdicts on preferences that could not be had; of a pair there are two."""
    for row in rows.select(["preference_id", "kind", "outcomes", "reasons"]).to_pylist():
        for place, outcome in enumerate(row["outcomes"]):
            if outcome not in _GOOD:
                over = f" over {1 - place}" if row["kind"] == "pair" else ""
                yield row["preference_id"], row["reasons"][place] or outcome, f"{row['kind']} verdict {place}{over}"


def _within(rows: pa.Table, column: str, reason: str, name: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(row, reason, which) of the values in a list column that failed. Nothing else of them is read."""
    if column not in rows.column_names:
        return []
    lists = rows[column].combine_chunks()
    owners, values = pc.list_parent_indices(lists), pc.list_flatten(lists)
    reasons = pc.struct_field(values, reason)
    failed = pc.is_valid(reasons)
    if column != "candidates":
        outcomes = pc.struct_field(values, "outcome")
        failed = pc.invert(pc.is_in(outcomes, value_set=pa.array(_GOOD)))
        reasons = pc.coalesce(reasons, outcomes)
    ids = rows[_ID].take(owners.filter(failed)).to_pylist()
    which = zip(*(pc.struct_field(values, part).filter(failed).to_pylist() for part in name), strict=True)
    kind = column.removesuffix("s").replace("_", " ")
    return [
        (i, why, f"{kind} {' over '.join(map(str, numbers))}")
        for i, why, numbers in zip(ids, reasons.filter(failed).to_pylist(), which, strict=True)
    ]


def write_failures(folder: str, file: str, rows: pa.Table, stage: str) -> None:
    """Writes the failures of a unit beside the part of the stage that it belongs to; nothing where none failed."""
    place = store.join(parent_of(folder), FOLDER, name_of(folder), file)
    put_aside(place, failures(rows, stage))


def put_aside(uri: str, rows: list[dict[str, Any]]) -> None:
    """Writes `schema.QUARANTINE` rows, all of a unit that failed, in place of what an earlier attempt at it wrote."""
    if rows:
        store.write_table(uri, schema.table_of(rows, schema.QUARANTINE))
    else:
        store.delete_file(uri)


def quarantined(stage: Stage, part: str) -> dict[str, int]:
    """How many failures of a part of a stage there are for each reason, the most frequent first."""
    files = stage.units(f"{FOLDER}/{part}")
    reasons = Counter(reason for file in files for reason in store.read_table(file, ["reason"])["reason"].to_pylist())
    if reasons:
        print(printed(f"[{stage.name}] {sum(reasons.values())} failures are in {stage.path(FOLDER, part)}"), flush=True)
    return dict(reasons.most_common())


def details(stage: Stage, part: str) -> Counter[str]:
    """How often what failed of a row was the same, in a part of a stage."""
    files = stage.units(f"{FOLDER}/{part}")
    return Counter(detail for file in files for detail in store.read_table(file, ["detail"])["detail"].to_pylist())

"""What is counted of rows while they flow: by the actors that work on them, and by the task that writes them.

Counts travel with the rows, in columns that no stage keeps, to the driver. So they are of what is written, once: what
an actor did that died in the midst of a row is done again by another, and counted of that one alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray.pipeline.quarantine import NO_FAULT, failures

Counts = Counter[tuple[str, str]]
"""By the name of a metric (`pipeline.metrics`) and the value of its own tag, which is empty where it has none."""

COUNTS = pa.list_(pa.struct([("name", pa.string()), ("of", pa.string()), ("number", pa.float64())]))


def noted(rows: pa.Table, column: str, counts: Mapping[tuple[str, str], float]) -> pa.Table:
    """The rows with counts in a column of that name, all on the first of them; without rows they are lost."""
    listed = [{"name": name, "of": of, "number": number} for (name, of), number in counts.items()]
    values = [listed, *[None] * (len(rows) - 1)][: len(rows)]
    return rows.append_column(pa.field(column, COUNTS), pa.array(values, COUNTS))


def gathered(rows: pa.Table) -> Counts:
    """All counts that are noted on rows, in whichever columns."""
    columns = [name for name in rows.column_names if rows.schema.field(name).type == COUNTS]
    total: Counts = Counter()
    for row in rows.select(columns).to_pylist():
        total.update(of_row(row))
    return total


def of_row(row: Mapping[str, Any]) -> Counts:
    """All counts that are noted on one row, as Python has it: its lists are counts."""
    total: Counts = Counter()
    for listed in row.values():
        for one in listed if isinstance(listed, list) else ():
            total[one["name"], one["of"]] += one["number"]
    return total


def found_in(rows: pa.Table) -> Counts:
    """What the rows of a stage hold: candidates and verdicts where they were made, pairs where these were, and how much
    of it was put aside (`quarantine.failures`)."""
    found: Counts = Counter()
    if "candidates" in rows.column_names:
        found["candidates", ""] += pc.struct_field(pc.list_flatten(rows["candidates"]), "error").null_count
    if {"candidates", "outcomes"} & set(rows.column_names):
        found += verdicts_in(rows)
        for failure in failures(rows, ""):
            found["put_aside", part_of(failure["detail"])] += 1
    for column in {"dropped", "unfit"} & set(rows.column_names):
        for reason in rows[column].to_pylist():
            found[("pairs", "") if reason is None else ("dropped", kind_of(reason))] += 1
            found["put_aside", "pair"] += reason is not None and reason not in NO_FAULT
    return +found


def verdicts_in(rows: pa.Table) -> Counts:
    """Verdicts by their outcome."""
    found: Counts = Counter()
    for column in {"pair_verdicts", "point_verdicts", "outcomes"} & set(rows.column_names):
        outcomes = pc.list_flatten(rows[column])
        if column != "outcomes":
            outcomes = pc.struct_field(outcomes, "outcome")
        for one in pc.value_counts(outcomes).to_pylist():
            found["verdicts", one["values"]] += one["counts"]
    return found


def kind_of(reason: str) -> str:
    """A reason as a tag: what it begins with where that is a name, as `media_error: cut off` is; else `failed`, as what
    people are told has no end of forms."""
    name = reason.partition(":")[0]
    return name if name.isidentifier() else "failed"


def part_of(detail: str) -> str:
    """What of a row failed as a tag: `pair_verdict` of `pair verdict 0 over 1`."""
    words = re.match("[a-z ]*[a-z]", detail)
    return words[0].replace(" ", "_") if words else "row"

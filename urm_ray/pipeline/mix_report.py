"""What the judge is about to learn from, counted before its training (paper, Table XI: what is rare drowns)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from urm_ray import store
from urm_ray.config_training import Task
from urm_ray.file_systems import join
from urm_ray.judge.protocol import OVERALL
from urm_ray.judge.scale import SCALES
from urm_ray.run_folder import Stage
from urm_ray.secrets import printed

KINDS_OF_ROWS = ["task", "kind", "source", "scale", "dimension"]
MIX = "mix.json"
"""The file of the reward stage that holds the report."""
NOTED = "point_scales.json"
"""The file beside a judge's weights that holds the scales it learned, for runs that are given that judge."""
_COLUMNS = [*KINDS_OF_ROWS, "label", "rationale"]


def mix_report(files: Sequence[str], weights: Mapping[Task, float]) -> dict[str, Any]:
    """Counts over one pass of the mixture. Of the files, `schema.PREFERENCE` rows, no media are read.

    files: in the pass, a repeated one as often as it comes. Returns `examples` of the pass (a pair is two, one for each
    order) and

    groups: for each task, kind, source, scale and dimension {rows, examples, share, ties, rationales}: rows, ties and
    rows with a rationale without repetition, examples and their share of the pass with it;
    tasks: {rows, examples, share, weight, repeats}; weight is the share that the settings ask for.
    """
    found: dict[tuple[Any, ...], Counter[str]] = {}
    for file, times in Counter(files).items():
        for group in _counted(file):
            total = found.setdefault(tuple(group[name] for name in KINDS_OF_ROWS), Counter())
            once = group["rows"] * (2 if group["kind"] == "pair" else 1)
            total.update({name: group[name] for name in ("rows", "ties", "rationales")})
            total.update({"once": once, "examples": times * once})
    examples = sum(total["examples"] for total in found.values())
    order = sorted(found, key=lambda group: [value or "" for value in group])
    groups = [
        {
            **dict(zip(KINDS_OF_ROWS, group, strict=True)),
            **{name: found[group][name] for name in ("rows", "examples", "ties", "rationales")},
            "share": round(found[group]["examples"] / examples, 6),
        }
        for group in order
    ]
    return {"examples": examples, "groups": groups, "tasks": _of_tasks(found, weights, examples)}


def point_scales(mix: Mapping[str, Any]) -> dict[str, str]:
    """For each task with point rows, the scale on which most examples score a candidate overall, else in a dimension.

    A judge knows the numbers of the scales it was trained on; asked on another one, it answers as its base would. A
    scale that there is no form for (`SCALES`) is carried over to the task's own, so the task is then left out.
    """
    found: dict[str, Counter[tuple[bool, str]]] = {}
    for group in mix["groups"]:
        if group["kind"] == "point":
            overall = group["dimension"] in (None, OVERALL)
            found.setdefault(group["task"], Counter())[overall, group["scale"]] += group["examples"]
    best = {task: max(counts, key=lambda kind: (kind[0], counts[kind]))[1] for task, counts in found.items()}
    return {task: scale for task, scale in best.items() if scale in SCALES}


def learned_scales(reward: Stage) -> dict[str, str]:
    """`point_scales` of what the judge of a finished stage was trained on."""
    return point_scales(store.read_json(reward.path(MIX)))


def noted_scales(path: str) -> dict[str, str]:
    """The scales that a judge learned, as `point_scales`, from beside its weights in a folder or at a URI; none of a
    judge that nobody noted them of. StoreError where the file says anything else."""
    place = join(path, NOTED)
    if not store.exists(place):
        return {}
    try:
        found = TypeAdapter(dict[Task, str]).validate_json(store.read_bytes(place))
    except ValidationError:
        found = None
    if found is None or set(found.values()) - set(SCALES):
        raise store.StoreError(f"{printed(place)} is not a scale of {', '.join(SCALES)} for each task")
    return {str(task): scale for task, scale in found.items()}


def _counted(file: str) -> list[dict[str, Any]]:
    table = store.read_table(file, _COLUMNS)
    said = pc.fill_null(pc.utf8_length(table["rationale"]), 0)
    columns = {name: table[name] for name in KINDS_OF_ROWS} | {
        "scale": pc.struct_field(table["scale"], "name"),
        "ties": pc.fill_null(pc.equal(table["label"], "tie"), False),
        "rationales": pc.greater(said, 0),
    }
    counts = (
        pa.table(columns).group_by(KINDS_OF_ROWS).aggregate([("ties", "sum"), ("rationales", "sum"), ([], "count_all")])
    )
    return counts.rename_columns([*KINDS_OF_ROWS, "ties", "rationales", "rows"]).to_pylist()


def _of_tasks(
    found: Mapping[tuple[Any, ...], Counter[str]], weights: Mapping[Task, float], examples: int
) -> dict[str, dict[str, Any]]:
    totals: dict[Task, Counter[str]] = {}
    for (task, *_), total in sorted(found.items(), key=lambda item: item[0][0]):
        totals.setdefault(task, Counter()).update(total)
    all_weights = sum(weights.get(task, 1.0) for task in totals)
    return {
        task: {
            "rows": total["rows"],
            "examples": total["examples"],
            "share": round(total["examples"] / examples, 6),
            "weight": round(weights.get(task, 1.0) / all_weights, 6),
            "repeats": round(total["examples"] / total["once"], 3),
        }
        for task, total in totals.items()
    }


def mix_lines(mix: Mapping[str, Any], judged: Sequence[str] = ()) -> list[str]:
    """The counts of `mix_report` as a table for a terminal, and what the judge will not have learned.

    judged: tasks that the judge is meant for; one of them may have no preferences at all.
    """
    names = [*KINDS_OF_ROWS, "rows", "examples", "share", "ties", "rationales"]
    groups = [[_written(group[name], name) for name in names] for group in mix["groups"]]
    heads = ["task", "rows", "repeats", "examples", "share", "weight"]
    tasks = [[task, *[_written(of[name], name) for name in heads[1:]]] for task, of in mix["tasks"].items()]
    scored = {group["task"] for group in mix["groups"] if group["kind"] == "point"}
    lacking = [
        f"no point row of {task}: the scores by which its candidates are sifted are not learned"
        for task in sorted({*judged, *mix["tasks"]} - scored)
    ]
    return [*aligned([names, *groups], len(KINDS_OF_ROWS)), "", *aligned([heads, *tasks], 1), *lacking]


def _written(value: Any, name: str) -> str:
    if name in ("share", "weight"):
        return f"{value:.1%}"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def aligned(rows: Sequence[Sequence[str]], words: int) -> list[str]:
    """Rows in columns, of which the first `words` are words and the others numbers; as they may be printed."""
    rows = [[" ".join(printed(cell).split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]

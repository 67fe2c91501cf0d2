"""Which rows the page shows. Heavy columns are read only from the files that hold a row that is shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray import store
from urm_ray.run_folder import Stage
from urm_ray.schema import digest

CHANGES = ("improved", "unchanged", "worse")


@dataclass(frozen=True)
class Change:
    """A prompt's headline figure before and after, of the candidates with the same seed (candidate `index`)."""

    prompt_id: str
    prompt: str
    index: int
    before: float
    after: float

    @property
    def name(self) -> str:
        return "improved" if self.after > self.before else "worse" if self.after < self.before else "unchanged"


def light_rows(stage: Stage, part: str, task: str, columns: list[str]) -> list[dict[str, Any]]:
    """The named columns of a task's rows."""
    table = stage.rows(part, ["task", *columns])
    return table.filter(pc.equal(table["task"], task)).to_pylist()


def rows_of(stage: Stage, part: str, prompt_ids: Collection[str], columns: list[str]) -> dict[str, dict[str, Any]]:
    """The named columns of these prompts, by prompt_id."""
    wanted = pa.array(sorted(prompt_ids), pa.string())
    found: dict[str, dict[str, Any]] = {}
    for file in stage.units(part):
        shown = pc.is_in(store.read_table(file, ["prompt_id"])["prompt_id"], value_set=wanted)
        if pc.any(shown).as_py():
            table = store.read_table(file, ["prompt_id", *columns]).filter(shown)
            found |= {row["prompt_id"]: row for row in table.to_pylist()}
    return found


def changes(stages: dict[str, Stage], task: str, headline: str) -> list[Change]:
    """Every prompt whose first candidates were rated both `before` and `after`, which are parts of these stages."""
    before, after = (
        {
            row["prompt_id"]: (row["prompt"], {f["index"]: f["value"] for f in row["figures"] if f["name"] == headline})
            for row in light_rows(stages[part], part, task, ["prompt_id", "prompt", "figures"])
        }
        for part in ("before", "after")
    )
    found = []
    for prompt_id, (prompt, old) in before.items():
        new = after.get(prompt_id, (prompt, {}))[1]
        shared = old.keys() & new.keys()
        if shared:
            index = min(shared)
            found.append(Change(prompt_id, prompt, index, old[index], new[index]))
    return found


def allot(sizes: dict[str, int], count: int) -> dict[str, int]:
    """How many of `count` places go to each group: by size, but one to every group that has any, as far as they go."""
    given = dict.fromkeys(sizes, 0)
    total = sum(sizes.values())
    for _ in range(min(count, total)):
        open_ = [name for name in sizes if given[name] < sizes[name]]
        given[max(open_, key=lambda n: (not given[n], count * sizes[n] / total - given[n]))] += 1
    return given


def spread(found: list[Change], count: int, seed: int) -> list[Change]:
    """`count` prompts, each kind of change by its share; within a kind a blind draw by hash of the prompt's id."""
    groups = {name: [c for c in found if c.name == name] for name in CHANGES}
    places = allot({name: len(group) for name, group in groups.items()}, count)
    return [
        change
        for name, group in groups.items()
        for change in sorted(group, key=lambda c: digest("grid", seed, c.prompt_id))[: places[name]]
    ]


def extremes(stage: Stage, task: str, count: int) -> tuple[list[str], list[str]]:
    """Prompts of the kept pairs with the largest and, among the others, the smallest margins, up to `count` each."""
    rows = light_rows(stage, "sifted", task, ["prompt_id", "dropped", "margin"])
    scored = [row for row in rows if row["dropped"] is None and row["margin"] is not None]
    kept = sorted((-row["margin"], row["prompt_id"]) for row in scored)
    ids = [prompt_id for _, prompt_id in kept]
    return ids[:count], ids[count:][::-1][:count]


def outcomes(stage: Stage, task: str) -> dict[str, int]:
    """How often the judge gave each outcome to a pair."""
    total: dict[str, int] = {}
    for file in stage.units("sifted"):
        table = store.read_table(file, ["task", "pair_verdicts"])
        verdicts = pc.list_flatten(table.filter(pc.equal(table["task"], task))["pair_verdicts"])
        for item in pc.value_counts(pc.struct_field(verdicts, "outcome")).to_pylist():
            total[item["values"]] = total.get(item["values"], 0) + item["counts"]
    return total

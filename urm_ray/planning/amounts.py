"""How many rows, examples and questions a run has, and how often its trainings pass over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from urm_ray.config import Config
from urm_ray.config_planning import RowsConfig
from urm_ray.config_training import Task, TrainConfig
from urm_ray.judge.protocol import Kind, ProtocolError, protocol
from urm_ray.pairs.asking import Counting, interview
from urm_ray.pipeline.mixture import repeats
from urm_ray.sources.candidates import CandidateFile
from urm_ray.sources.reader import READERS
from urm_ray.sources.registry import PARTS, SOURCES, Part, source

_RECORDS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
_QUICK = 64 << 20
"""Bytes of records that are read in seconds."""


@dataclass(frozen=True)
class Rows:
    """Of one task, by part. counted: the parts that were counted; the others are as many as are asked for."""

    of: dict[Part, int]
    counted: frozenset[Part]


def rows(config: Config, task: Task) -> Rows:
    """As many rows as there are where the data lies on this machine, and otherwise as the configuration wants."""
    prepare = config.prepare.of_task(task)
    wanted: dict[Part, int] = {part: getattr(prepare, part) for part in PARTS}
    if config.judge.path:  # no judge is trained, and no preferences are read
        wanted |= {part: 0 for part in PARTS if not part.endswith("prompts")}
    found, counted = _assumed(config, task, wanted), set()
    for kind, name, path in (
        ("preferences", prepare.preferences, prepare.preferences_path),
        ("prompts", prepare.prompts, prepare.prompts_path),
    ):
        parts = [part for part in PARTS if part.endswith("prompts") == (kind == "prompts") and wanted[part]]
        if parts and _countable(name, path):
            there = source(name, path, config.run.seed, task, {part: wanted[part] for part in PARTS})
            found |= {part: there.size(part) for part in parts}
            counted |= set(parts)
    return Rows(found, frozenset(counted))


def _countable(name: str, path: str | None) -> bool:
    """Whether rows are here, and counted in seconds. The readers of data sets go through all records to count them."""
    if path is None or not Path(path).exists():
        return path is None and ":" in name
    if name not in READERS:
        return name in SOURCES or ":" in name
    given = Path(path)
    files = [given] if given.is_file() else (file for file in given.rglob("*") if file.suffix in _RECORDS)
    left = _QUICK
    for file in files:
        left -= file.stat().st_size
        if left < 0:
            return False
    return True


def _assumed(config: Config, task: Task, wanted: dict[Part, int]) -> dict[Part, int]:
    """As many rows as are wanted, or as `planning.assumed.rows` says there are; held-out ones come first."""
    there = config.planning.assumed.rows.get(task, RowsConfig()).model_dump(exclude_none=True)
    found = dict(wanted)
    for kind, count in there.items():
        held_out, train = (next(p for p in PARTS if p == f"{name}_{kind}") for name in ("heldout", "train"))
        found[held_out] = min(wanted[held_out], count)
        found[train] = min(wanted[train], count - found[held_out])
    return found


def examples(config: Config, of_tasks: Mapping[Task, Rows]) -> dict[tuple[Task, Kind], float]:
    """Training examples of the judge in one pass: a pair in both orders, tasks repeated to their weights."""
    counts = {task: 2 * rows.of["train_pairs"] + rows.of["train_points"] for task, rows in of_tasks.items()}
    if not any(counts.values()):
        return {}
    times = repeats(counts, config.reward.task_weights)
    made: dict[tuple[Task, Kind], float] = {}
    for task, often in times.items():
        made[task, "pair"] = 2 * of_tasks[task].of["train_pairs"] * often
        made[task, "point"] = of_tasks[task].of["train_points"] * often
    return made


def step_rows(config: TrainConfig) -> int:
    """Rows of one optimizer step, over all workers."""
    return config.batch * config.accumulate * config.workers


def passes(config: TrainConfig, rows: float) -> float:
    """How often a training sees each of so many rows."""
    return config.steps * step_rows(config) / rows if rows else 0.0


def candidates(config: Config, task: Task) -> list[int]:
    """How many candidates each prompt has that has any: of all prompts with candidates that are there already, and else
    of one prompt, as the sampler makes them."""
    policy = config.policy(task)
    if policy.candidates_path and Path(policy.candidates_path).is_file():
        named = CandidateFile(policy.candidates_path, task).named.values()
        return [len(names) for names in named if names]
    return [policy.sampler.candidates]


def questions(config: Config, task: Task, count: int, rank: bool = True) -> dict[Kind, int]:
    """Verdicts on one prompt's candidates, if no two are equal and all can be shown. rank: as `pairs` says, else points
    alone."""
    if not rank:
        return {"pair": 0, "point": count}
    sitting = Counting(count, *_parts(config.judge.protocol, task))
    interview(sitting, config.pairs)
    return sitting.verdicts


def _parts(name: str, task: Task) -> tuple[int, int]:
    """Questions that a verdict on a pair, and one on a point, take."""
    try:
        asked = protocol(name)
    except ProtocolError:  # which a plan has a sentence of its own for
        return 1, 1
    return asked.questions(task, "pair"), asked.questions(task, "point")

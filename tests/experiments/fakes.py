"""Finished stages of variants, written as the stages write them, without Ray and without models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from helpers import SCALE, candidate, candidate_set, pair_verdict, point_verdict

from urm_ray import schema, store
from urm_ray.config import Config
from urm_ray.config_file import build
from urm_ray.config_training import Task
from urm_ray.evaluation.preferences import agreement
from urm_ray.pairs.audit import audit
from urm_ray.pairs.sifting import last_place, sift, within
from urm_ray.pipeline.evaluate_judge import RESULT
from urm_ray.pipeline.run import Run, execute
from urm_ray.run_folder import Stage

TASKS: tuple[Task, ...] = ("image_generation", "video_understanding")
TASK = TASKS[0]
PROMPTS = 40
FIGURES = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("figures", pa.list_(pa.struct([("index", pa.int32()), ("name", pa.string()), ("value", pa.float32())]))),
    ]
)
GAIN = {"random": 0.0, "point": 0.1, "pair": 0.2, "pair_point": 0.4}
"""Of each construction, on every prompt; one order costs 0.1, a second round adds 0.05."""


class Letters:
    """Of answers that are a letter and a number the headline is the number."""

    def figures(self, prompt: str, candidate: Any, context: Sequence[Any] = ()) -> dict[str, float | None]:
        return {"whole": float(candidate.split()[1])}


def base_of(folder: Path, **changes: Any) -> Config:
    """Two tasks, two seeds, 30 pairs; the checkpoints are empty folders."""
    for name in ("vlm", "policy"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.json").write_text(name)
    policy = {
        "path": str(folder / "policy"),
        "evaluate": {"scorer": "experiments.fakes:Letters", "resamples": 100},
        "sampler": {"candidates": 4},
    }
    values: dict[str, Any] = {
        "run": {"dir": str(folder / "run"), "seed": 7},
        "tasks": list(TASKS),
        "judge_base": {"path": str(folder / "vlm")},
        "judge": {"resamples": 100},
        "policies": dict.fromkeys(TASKS, policy),
        "experiments": {"seeds": 2, "pairs": 30},
    }
    return build(values | changes)


def judged(number: int) -> dict[str, Any]:
    """A prompt whose candidates are worth 3, 2, 1 and 0, and so are their point scores.

    The judge ranks them right in both orders, but in every fourth prompt says "first" to whatever is shown first of the
    last two, of which the better has the higher index.
    """
    worth = (3, 2, 0, 1)
    row = candidate_set(0) | {"prompt_id": f"p{number}", "judge_digest": "judge", "scale": SCALE}
    row["candidates"] = [candidate(i, media=None, text=f"answer {w}") for i, w in enumerate(worth)]
    last = ("first", "first") if number % 4 == 0 else ("second", "first")
    outcomes = ("first", "second", *last)
    orders = ((0, 1), (1, 0), (2, 3), (3, 2))
    row["pair_verdicts"] = [pair_verdict(a, b, o) for (a, b), o in zip(orders, outcomes, strict=True)]
    row["point_verdicts"] = [point_verdict(i, 1.0 + w) for i, w in enumerate(worth)]
    return row


def write(stage: Stage, part: str, rows: list[dict[str, Any]], of: pa.Schema) -> None:
    store.write_table(stage.path(part, "unit-000000.parquet"), schema.table_of(rows, of))


def judge(run: Run, stage: Stage) -> dict[str, Any]:
    """A single-task judge is right on 60 of 100 pairs, a joint one on 80, 50 of them the same."""
    right = range(20, 100) if len(run.config.tasks) > 1 else [*range(10), *range(50, 100)]
    rows = []
    for task in run.config.tasks:
        for n in range(100):
            chance = 0.9 if n in right else 0.1
            rows.append(
                {
                    "preference_id": f"{task}{n}",
                    "task": task,
                    "kind": "pair",
                    "label": "first",
                    "score": None,
                    "judged": None,
                    "p_first": chance,
                    "p_second": 1 - chance,
                    "p_tie": 0.0,
                    "texts": None,
                    "reasons": None,
                    "outcomes": ["first", "second"],
                }
            )
    write(stage, "judge", rows, RESULT)
    own = {task: [r for r in rows if r["task"] == task] for task in run.config.tasks}
    figures = {task: agreement(found, 0, 100) for task, found in own.items()}
    return {"figures": {task: {"judge": f, "base": f} for task, f in figures.items()}}


def generate(run: Run, stage: Stage) -> dict[str, Any]:
    write(stage, "judged", [judged(n) for n in range(PROMPTS)], schema.JUDGED_SET)
    return {}


def pairs(run: Run, stage: Stage) -> dict[str, Any]:
    rows = run.finished("generate", TASK).rows("judged").to_pylist()
    config = run.config.pairs
    sifted = [row | sift(row, config) for row in rows]
    kept = [row["prompt_id"] for row in sifted if row["dropped"] is None]
    last = last_place(kept, config.keep) if config.keep else None
    sifted = [row | within(row, row["prompt_id"], last) for row in sifted]
    write(stage, "sifted", sifted, schema.SIFTED_SET)
    return {"audit": audit(sifted, config.compares_orders)}


def dpo(run: Run, stage: Stage) -> dict[str, Any]:
    """The model is a file that says how much better it is than the first."""
    path = Path(run.config.policy(TASK).path) / "worth"
    worth = float(path.read_text()) + 0.05 if path.exists() else GAIN[run.config.pairs.construction]
    worth -= 0.1 * (run.config.pairs.orders == "first")
    store.write_bytes(stage.path("model", "model_index.json"), b"{}")
    store.write_bytes(stage.path("model", "worth"), str(worth).encode())
    return {}


def rated(run: Run, stage: Stage, part: str, worth: float) -> dict[str, Any]:
    """Prompts that are as hard as their number says, the same for every seed."""
    rows = [
        {
            "prompt_id": f"h{n}",
            "figures": [{"index": i, "name": "whole", "value": n / 100 + worth} for i in range(2)],
        }
        for n in range(20)
    ]
    write(stage, part, rows, FIGURES)
    return {}


def baseline(run: Run, stage: Stage) -> dict[str, Any]:
    path = Path(run.config.policy(TASK).path) / "worth"
    return rated(run, stage, "before", float(path.read_text()) if path.exists() else 0.0)


def evaluate(run: Run, stage: Stage) -> dict[str, Any]:
    model = run.finished("dpo", TASK).path("model", "worth")
    return rated(run, stage, "after", float(store.read_bytes(model)))


STAGES = {"judge": judge, "generate": generate, "pairs": pairs, "dpo": dpo, "baseline": baseline, "evaluate": evaluate}


def run_steps(run: Run, steps: Sequence[tuple[str, Task | None]]) -> None:
    """In place of `pipeline.stages.run_steps`."""
    for name, task in steps:
        execute(run, run.stage(name, task), STAGES.get(name, lambda run, stage: {}))

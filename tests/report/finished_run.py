"""A tiny finished run, written as the stages write it, without Ray and without models."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
from helpers import TASK
from PIL import Image

from urm_ray import schema, store
from urm_ray.clips import encode_clip
from urm_ray.config_file import build
from urm_ray.config_policy import understands
from urm_ray.config_training import Task
from urm_ray.evaluation.metrics import share
from urm_ray.media import encode_image
from urm_ray.pairs.audit import audit
from urm_ray.pipeline.run import key
from urm_ray.report.summary import Sources
from urm_ray.run_folder import Stage

SCALE = {"name": "1-5", "minimum": 1, "maximum": 5}
RATING = pa.struct([("index", pa.int32()), ("name", pa.string()), ("value", pa.float32())])
EVALUATED = pa.schema([*schema.JUDGED_SET, ("figures", pa.list_(RATING))])
NO_FIGURE = {"value": None, "ci95": [None, None], "n": 0}
ALIGNED = ("generate", "pairs", "dpo", "baseline", "evaluate")


def figure(value: float, low: float, high: float, n: int = 40) -> dict[str, Any]:
    return {"value": value, "ci95": [low, high], "n": n}


def media(name: str, index: int, side: int, task: Task) -> dict[str, Any]:
    """A picture of its own for every name; a clip for tasks of clips, in which a bar wanders from left to right."""
    colour = tuple(int(schema.digest(name, index)[i : i + 2], 16) for i in (0, 2, 4))
    if not task.startswith("video"):
        return encode_image(Image.new("RGB", (side, side), colour))
    frames = [Image.new("RGB", (side, side), colour) for _ in range(6)]
    for at, frame in enumerate(frames):
        frame.paste((255, 255, 255), (at * side // 6, side // 4, (at + 1) * side // 6, 3 * side // 4))
    return encode_clip(frames, 6.0)


def candidate(index: int, name: str, side: int, task: Task = TASK) -> dict[str, Any]:
    """A candidate with a picture, a clip or an answer of its own, different for every name."""
    made = (None, f"{name} says {index}") if understands(task) else (media(name, index, side, task), None)
    return {"index": index, "seed": index, "media": made[0], "text": made[1], "error": None}


def verdict(first: int, second: int, outcome: str, chances: tuple[float | None, ...]) -> dict[str, Any]:
    p_first, p_tie, p_second = chances
    return {
        "first": first,
        "second": second,
        "outcome": outcome,
        "p_first": p_first,
        "p_second": p_second,
        "p_tie": p_tie,
        "text": None,
        "reason": None,
    }


def judged(
    prompt_id: str, prompt: str, candidates: list[dict[str, Any]], side: int, task: Task = TASK
) -> dict[str, Any]:
    points = [
        {"index": c["index"], "outcome": "score", "score": 3.0, "probabilities": None, "text": None, "reason": None}
        for c in candidates
    ]
    return {
        "prompt_id": prompt_id,
        "task": task,
        "prompt": prompt,
        "context": [media(prompt_id, 9, side, task)] if understands(task) else [],
        "source": "test",
        "candidates": candidates,
        "sampler_digest": "s",
        "pair_verdicts": [],
        "point_verdicts": points,
        "scale": SCALE,
        "judge_digest": "j",
    }


def sifted(number: int, prompt: str, dropped: str | None, side: int, task: Task = TASK) -> dict[str, Any]:
    """A prompt with two candidates: number 1 won in both orders, unless the row is dropped."""
    row = judged(f"g{number:03d}", prompt, [candidate(i, f"g{number}", side, task) for i in range(2)], side, task)
    row["pair_verdicts"] = [verdict(0, 1, "second", (0.1, 0.2, 0.7)), verdict(1, 0, "first", (0.6, 0.3, 0.1))]
    kept = dropped is None
    return row | {
        "pair_id": f"pair{number}",
        "dropped": dropped,
        "winners": [1],
        "losers": [0],
        "chosen": row["candidates"][1] if kept else None,
        "rejected": row["candidates"][0] if kept else None,
        "chosen_score": 4.0 if kept else None,
        "rejected_score": 4.0 - 0.1 * number if kept else None,
        "margin": 0.1 * number if kept else None,
        "pairs_asked": 1,
        "orders_agreed": 1,
        "first_preferred": 1,
    }


def evaluated(part: str, number: int, prompt: str, values: list[float], side: int, task: Task = TASK) -> dict[str, Any]:
    candidates = [candidate(i, f"{part}{number}", side, task) for i in range(len(values))]
    row = judged(f"h{number:03d}", prompt, candidates, side, task)
    return row | {"figures": [{"index": i, "name": "whole", "value": value} for i, value in enumerate(values)]}


def write(stage: Stage, part: str, rows: list[dict[str, Any]], fields: pa.Schema, unit_rows: int) -> None:
    for unit, start in enumerate(range(0, len(rows), unit_rows)):
        table = schema.table_of(rows[start : start + unit_rows], fields)
        store.write_table(stage.path(part, f"unit-{unit:05d}.parquet"), table)


def policy_figures(none: bool = False) -> dict[str, Any]:
    found = {"before": figure(0.4, 0.3, 0.5), "after": figure(0.6, 0.5, 0.7), "gain": figure(0.2, 0.1, 0.3)}
    own = {"before": figure(3.1, 3.0, 3.2), "after": figure(3.6, 3.5, 3.7), "gain": figure(0.5, 0.4, 0.6)}
    if none:
        found = own = dict.fromkeys(found, NO_FIGURE)
    return {
        **found,
        "headline": "whole",
        "all": {"colour": found, "judge_score": own, "usable": found, "whole": found},
    }


def mix_of(tasks: Sequence[Task]) -> dict[str, Any]:
    """Counts of a mixture in which every task has 100 pairs, a tenth of them ties, and 30 grades for a dimension."""
    pair = {"kind": "pair", "source": "people", "scale": None, "dimension": None, "rows": 100, "examples": 200}
    point = {"kind": "point", "source": "people", "scale": "1-4", "dimension": "motion", "rows": 30, "examples": 30}
    counts = [pair | {"ties": 10, "rationales": 0}, point | {"ties": 0, "rationales": 7}]
    groups = [{"task": t, **c, "share": c["examples"] / 230 / len(tasks)} for t in sorted(tasks) for c in counts]
    of_task = {"rows": 130, "examples": 230, "share": 1 / len(tasks), "weight": 1 / len(tasks), "repeats": 1.0}
    return {"examples": 230 * len(tasks), "groups": groups, "tasks": dict.fromkeys(sorted(tasks), of_task)}


def dpo_log(task: Task, step: int) -> dict[str, float]:
    """What the training of a task's policy logs."""
    shared = {"step": step, "loss": 0.69 - step / 99}
    if understands(task):
        return {**shared, "rewards/chosen": step / 9, "rewards/rejected": -step / 9, "rewards/accuracies": 0.8}
    return {**shared, "winner_excess": -step / 99, "loser_excess": step / 50, "accuracy": 0.8}


def finished_run(
    folder: Path,
    *,
    tasks: Sequence[Task] = (TASK,),
    settings: dict[str, Any] | None = None,
    prompts: list[str] | None = None,
    unit_rows: int = 4,
    side: int = 8,
    none: bool = False,
    values: list[tuple[float, float]] | None = None,
    kept: int = 9,
    pairs: list[dict[str, Any]] | None = None,
    before: list[dict[str, Any]] | None = None,
) -> Sources:
    """A run in which each task has 12 prompts to train on, of which `kept` gave a pair with margin 0.1 * number, and 12
    held out.

    values: headline figures before and after of each held-out prompt. pairs, before: rows to use in place of ours.
    """
    chosen: dict[str, Any] = {
        "tasks": list(tasks),
        "judge_base": {"path": "pkg:vlm"},
        "report": {"title": "A tiny run", "grid": 5, "pairs": 2},
        "policies": {task: {"path": "pkg:policy", "evaluate": {"scorer": "pkg.oracle:Oracle"}} for task in tasks},
    }
    config = build(chosen | (settings or {}))
    names = [key("prepare", task) for task in tasks] + ["reward", "judge"]
    names += [key(name, task) for task in tasks for name in ALIGNED]
    digests = {name: schema.digest("stage", name) for name in names}
    sources = Sources({n: Stage(f"{folder}/{n}-{digest[:12]}", n, digest) for n, digest in digests.items()}, config)
    prompts = prompts or [f"prompt {i}" for i in range(12)]
    values = values or [(float(i % 4 in (1, 2)), float(i % 4 != 2)) for i in range(12)]
    _finish_judge(sources, none)
    for task in tasks:
        rows = pairs or [sifted(i, p, None if i < kept else "tie", side, task) for i, p in enumerate(prompts)]
        asked = list(zip(prompts, values, strict=True))
        old = before or [evaluated("b", i, p, [v[0]], side, task) for i, (p, v) in enumerate(asked)]
        new = [evaluated("a", i, p, [v[1]], side, task) for i, (p, v) in enumerate(asked)]
        write(sources.of("pairs", task), "sifted", rows, schema.SIFTED_SET, unit_rows)
        write(sources.of("baseline", task), "before", old, EVALUATED, unit_rows)
        write(sources.of("evaluate", task), "after", new, EVALUATED, unit_rows)
        _finish_task(sources, task, audit(rows, config.pairs.compares_orders), none)
    return sources


def _finish_judge(sources: Sources, none: bool) -> None:
    reward, judge = (sources.stages[name] for name in ("reward", "judge"))
    losses = [{"step": s, "loss": 1.0 / s, "mean_token_accuracy": 0.9} for s in range(1, 6)]
    store.write_json(reward.path("history.json"), losses)
    store.write_json(reward.path("mix.json"), mix_of(sources.config.tasks))
    shares = NO_FIGURE if none else share(30, 40)
    measured = (
        "pair_accuracy",
        "pair_accuracy_strict",
        "tie_accuracy",
        "order_agreement",
        "calibration_error",
        "point_spearman",
    )
    figures = {**dict.fromkeys(measured, shares), "unparsed": 1}
    reward.finish(60.0, steps=5, final_loss=0.2)
    judge.finish(7.0, figures={task: {"judge": figures, "base": figures} for task in sources.config.tasks})


def _finish_task(sources: Sources, task: Task, counts: dict[str, Any], none: bool) -> None:
    dpo = sources.of("dpo", task)
    store.write_json(dpo.path("history.json"), [] if none else [dpo_log(task, s) for s in range(1, 6)])
    parts = ("train_pairs", "train_points", "heldout_pairs", "heldout_points", "train_prompts", "heldout_prompts")
    sources.of("prepare", task).finish(1.5, rows=dict.fromkeys(parts, 1200), quarantined={"train_pairs": 3})
    sources.of("generate", task).finish(19.5, prompts=counts["prompts"])
    sources.of("pairs", task).finish(0.5, audit=counts)
    dpo.finish(30.0, steps=5, final_loss=0.64)
    sources.of("baseline", task).finish(4.0, prompts=12)
    sources.of("evaluate", task).finish(6.0, figures=policy_figures(none))


class Page(HTMLParser):
    """A page taken apart: (tag, attributes) in order, its text, and the tags that do not match."""

    VOID = ("img", "input", "meta", "wbr")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.mismatched: list[str] = []
        self.parts: list[str] = []
        self.styles: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mismatched.append(tag)

    def handle_data(self, data: str) -> None:
        (self.styles if "style" in self.open else self.parts).append(data)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

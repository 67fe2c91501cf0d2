"""How the preferences of several tasks become one stream: a task with few rows is repeated until it has its share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from urm_ray import store
from urm_ray.config import Task
from urm_ray.pipeline.run import Run


@dataclass(frozen=True)
class Mixture:
    """One pass: files in reading order, and for each task how many examples the pass holds (a pair counts twice)."""

    files: list[str]
    examples: dict[Task, int]


def repeats(examples: Mapping[Task, int], weights: Mapping[Task, float]) -> dict[Task, int]:
    """How often each task's rows come in one pass, so that its share is near its weight; at least once.

    The published mixture leaves the tasks as they come, and the small one drowns (paper, Table XI).
    """
    wanted = {task: weights.get(task, 1.0) / count for task, count in examples.items() if count}
    least = min(wanted.values())
    return {task: max(1, round(value / least)) for task, value in wanted.items()}


def interleave(groups: Sequence[Sequence[str]]) -> list[str]:
    """Each group in order, all spread evenly over the whole, so that a shuffle window always holds every kind."""
    placed = [((i + 0.5) / len(group), g, file) for g, group in enumerate(groups) for i, file in enumerate(group)]
    return [file for _, _, file in sorted(placed, key=lambda item: item[:2])]


def mixture(run: Run) -> Mixture:
    """The training preferences of the run's tasks, weighted by `reward.task_weights`."""
    parts = {
        task: {part: run.finished("prepare", task).units(part) for part in ("train_pairs", "train_points")}
        for task in run.config.tasks
    }
    examples = {
        task: 2 * sum(map(store.row_count, files["train_pairs"])) + sum(map(store.row_count, files["train_points"]))
        for task, files in parts.items()
    }
    times = repeats(examples, run.config.reward.task_weights)
    groups = [files * times[task] for task in times for files in parts[task].values() if files]
    return Mixture(interleave(groups), {task: examples[task] * times[task] for task in times})

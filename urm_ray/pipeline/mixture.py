"""How the preferences of several tasks become one stream: a task with few rows is repeated until it has its share."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from urm_ray import store
from urm_ray.config_training import Task
from urm_ray.file_systems import name_of, parent_of
from urm_ray.pipeline.run import Run


@dataclass(frozen=True)
class Mixture:
    """One pass: files in reading order, and for each task how many examples the pass holds (a pair counts twice)."""

    files: list[str]
    examples: dict[Task, int]


def repeats(examples: Mapping[Task, int], weights: Mapping[Task, float]) -> dict[Task, float]:
    """How often each task's rows come in one pass, so that its share is its weight; no row is left out.

    The published mixture leaves the tasks as they come, and the small one drowns (paper, Table XI).
    """
    wanted = {task: weights.get(task, 1.0) / count for task, count in examples.items() if count}
    least = min(wanted.values())
    return {task: value / least for task, value in wanted.items()}


def repeated(files: Sequence[str], times: float) -> list[str]:
    """The files over and over, to the nearest whole file."""
    return list(itertools.islice(itertools.cycle(files), round(len(files) * times)))


def interleave(groups: Sequence[Sequence[str]]) -> list[str]:
    """Each group in order, all spread evenly over the whole, so that a shuffle window always holds every kind."""
    placed = [((i + 0.5) / len(group), g, file) for g, group in enumerate(groups) for i, file in enumerate(group)]
    return [file for _, _, file in sorted(placed, key=lambda item: item[:2])]


def mixture(run: Run) -> Mixture:
    """The training preferences of the run's tasks, weighted by `reward.task_weights`."""
    parts: dict[Task, dict[str, int]] = {}
    for task in run.config.tasks:
        stage = run.finished("prepare", task)
        parts[task] = {file: 2 * store.row_count(file) for file in stage.units("train_pairs")}
        parts[task] |= {file: store.row_count(file) for file in stage.units("train_points")}
    times = repeats({task: sum(files.values()) for task, files in parts.items()}, run.config.reward.task_weights)
    groups = {task: repeated(interleave(_kinds(list(parts[task]))), times[task]) for task in times}
    return Mixture(
        interleave(list(groups.values())), {task: sum(parts[task][f] for f in files) for task, files in groups.items()}
    )


def _kinds(files: list[str]) -> list[list[str]]:
    """Pair files and point files."""
    return [list(group) for _, group in itertools.groupby(files, key=lambda file: name_of(parent_of(file)))]

"""The embedded world as one source for each of its tasks."""

from __future__ import annotations

from urm_ray.config_training import Task
from urm_ray.scenes.answer_preferences import Answers
from urm_ray.scenes.clip_answer_preferences import ClipAnswers
from urm_ray.scenes.clip_preferences import ClipScenes
from urm_ray.scenes.preferences import Scenes
from urm_ray.sources.registry import Source, SourceError

TASKS: dict[Task, type[Source]] = {source.task: source for source in (Scenes, Answers, ClipScenes, ClipAnswers)}


def world(path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> Source:
    """The source of a task's rows; SourceError for a task that the world does not have."""
    if task not in TASKS:
        raise SourceError(f"the embedded world has no {task}, only {', '.join(TASKS)}")
    return TASKS[task](path, seed, task, wanted)

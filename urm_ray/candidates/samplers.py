"""The sampler of each task's policy, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from urm_ray.config_policy import PolicyConfig, understands
from urm_ray.config_training import Task


class Sampler(Protocol):
    def sample(self, requests: Sequence[tuple[Any, int]], wanted: Sequence[bool] | None = None) -> list[dict[str, Any]]:
        """`schema.CANDIDATE` values for (what is asked, seed) requests, indexed in order."""


def load_sampler(task: Task, path: str, policy: PolicyConfig) -> Sampler:
    """The sampler of a task, with the policy at `path`."""
    arguments = (path, policy.sampler, policy.dtype, policy.device)
    if understands(task):
        from urm_ray.candidates.answers import AnswerSampler

        return AnswerSampler(*arguments, policy.clips)
    if task == "video_generation":
        from urm_ray.candidates.video import VideoSampler

        return VideoSampler(*arguments)
    from urm_ray.candidates.image import ImageSampler

    return ImageSampler(*arguments)


def asked_of(task: Task, row: dict[str, Any], policy: PolicyConfig) -> Any:
    """What a sampler of this task is asked for a `schema.PROMPT` row."""
    if not understands(task):
        return row["prompt"]
    from urm_ray.candidates.answers import Asked

    return Asked.of(row, policy.clips)

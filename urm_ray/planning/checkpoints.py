"""The models that a configuration names, as far as they are known without their weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from urm_ray.config import Config
from urm_ray.config_policy import SamplerConfig, understands
from urm_ray.config_training import Task
from urm_ray.denoisers.family import Conditioning, Family
from urm_ray.planning.architectures import VLM, Architecture, architecture
from urm_ray.planning.geometry import eyes_of
from urm_ray.planning.questions import Reader
from urm_ray.planning.shots import Shots, conditioning, family_of, shots


@dataclass(frozen=True)
class Drawer:
    """A diffusion policy whose denoiser can be trained, and what it makes."""

    architecture: Architecture
    family: Family
    made: Shots
    told: Conditioning

    @classmethod
    def of(cls, found: Architecture | None, sampler: SamplerConfig) -> Drawer | None:
        """None where the pipeline is not known, or its family is not."""
        family = family_of(found) if found and found.pipeline else None
        if found is None or family is None:
            return None
        made = shots(found, family, sampler)
        return cls(found, family, made, conditioning(found, family, sampler, made))


class Checkpoints:
    """StoreError where a folder is named that holds no checkpoint."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @cached_property
    def judge(self) -> Reader:
        """The judge that is given, or the base of the one that is trained."""
        return self._reader(self.config.judge.path or self.config.judge_base.path, None)

    @cached_property
    def readers(self) -> dict[Task, Reader]:
        """The policies that answer questions."""
        return {task: self._reader(self.config.policy(task).path, task) for task in self._tasks(understanding=True)}

    @cached_property
    def drawers(self) -> dict[Task, Drawer | None]:
        """The policies that make pictures or clips."""
        found = {task: self._known(self.config.policy(task).path) for task in self._tasks(understanding=False)}
        return {task: Drawer.of(known, self.config.policy(task).sampler) for task, known in found.items()}

    @property
    def named(self) -> dict[str, Architecture | None]:
        """Each path that is configured, with what is known of it."""
        paths = [self.config.judge.path or self.config.judge_base.path]
        paths += [self.config.policy(task).path for task in self.config.tasks]
        return {path: self._known(path) for path in paths if path}

    def _tasks(self, understanding: bool) -> list[Task]:
        return [t for t in self.config.tasks if understands(t) == understanding and self.config.policy(t).path]

    def _reader(self, path: str, task: Task | None) -> Reader:
        found = self._known(path)
        clips = self.config.policy(task).clips if task else self.config.judge.clips
        eyes = eyes_of(found) if found and VLM in found.parts else None
        return Reader(found if eyes or (found and VLM in found.parts) else None, eyes, clips)

    def _known(self, path: str) -> Architecture | None:
        like = self.config.planning.models.get(path)
        if like is None or Path(path).exists():
            return architecture(path) if path else None
        found = architecture(like)
        return found and replace(found, format=None)  # what is there in the end has the architecture alone in common

"""What VLMs are asked: pictures, frames and words of one question of each kind, in tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from urm_ray.clips import Sampling
from urm_ray.config import Config
from urm_ray.config_policy import ClipConfig, PolicyConfig, understands
from urm_ray.config_training import Task
from urm_ray.judge.protocol import Kind, protocol
from urm_ray.planning.architectures import Architecture
from urm_ray.planning.geometry import Eyes, Look, Looks, Size

CHARACTERS = 4
"""Of a token, where there is no tokenizer to ask."""
_TURN_TOKENS = 16
"""Of a chat template around a question: roles, ends of turns, marks around pictures."""


@dataclass(frozen=True)
class Chat:
    """One question, or a question with its answer."""

    looks: Looks
    text: int
    """Tokens of words."""
    seen: int
    """Tokens of pictures and clips."""
    predicted: int
    """Places whose next token is predicted: of the answer in training, of the verdict in use."""
    asks: int = 1
    """Questions that make one verdict."""

    @property
    def tokens(self) -> int:
        return self.text + self.seen


@dataclass(frozen=True)
class Reader:
    """A VLM as far as its tokens go."""

    architecture: Architecture | None
    eyes: Eyes | None
    clips: ClipConfig

    @cached_property
    def _count(self) -> Callable[[str], int]:
        folder = self.architecture.folder if self.architecture else None
        file = folder / "tokenizer.json" if folder else Path("nowhere")
        if not file.is_file():
            return lambda text: math.ceil(len(text) / CHARACTERS)
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))
        return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)

    def words(self, text: str) -> int:
        return self._count(text)

    def looks(self, size: Size, seconds: float, fps: float) -> Looks:
        """Of a clip: as frames or natively."""
        frames = chosen(self.clips, seconds, fps)
        return (Look(size, frames),) if self.clips.shown == "native" else (Look(size),) * frames

    def seen(self, looks: Looks) -> int:
        """Tokens of what is shown; 0 where the family is not known, as the plan says."""
        return self.eyes.tokens(looks) if self.eyes and looks else 0


def chosen(sampling: Sampling, seconds: float, fps: float) -> int:
    """Frames that are looked at of a clip."""
    if sampling.count is not None:
        return sampling.count
    most = sampling.rate * seconds if sampling.rate else fps * seconds
    return max(1, min(sampling.maximum, math.floor(most)))


def judged(
    config: Config, reader: Reader, task: Task, kind: Kind, made: tuple[Size, float, float] | None
) -> Chat | None:
    """A question to the judge; None where its protocol does not ask it.

    made: size, seconds and frames a second of candidates; None takes those of data (`planning.assumed`).
    """
    forms = protocol(config.judge.protocol).forms
    if (task, kind) not in forms:
        return None
    form, assumed = forms[task, kind], config.planning.assumed
    candidates = 2 if kind == "pair" else 1
    video = task.startswith("video")
    size, seconds, fps = made or (assumed.clip if video else assumed.picture, assumed.clip_seconds, assumed.clip_fps)
    one = reader.looks(size, seconds, fps) if video else (Look(size),)
    looks = one * (1 if understands(task) else candidates)
    asked = form.asked[0]
    text = reader.words(" ".join(asked.words)) + assumed.prompt_tokens + _TURN_TOKENS
    if understands(task):
        text += candidates * assumed.answer_tokens
    answers = [reader.words(answer) for answer in asked.answers]
    return Chat(looks, text, reader.seen(looks), max(answers, default=0) + 1, len(form.asked))


def answered(config: Config, reader: Reader, task: Task) -> Chat:
    """A question to a policy that answers questions, with the answer: as long as data has them, or as it may write."""
    policy, assumed = config.policy(task), config.planning.assumed
    video = task == "video_understanding"
    looks = reader.looks(assumed.clip, assumed.clip_seconds, assumed.clip_fps) if video else (Look(assumed.picture),)
    return Chat(looks, assumed.prompt_tokens + _TURN_TOKENS, reader.seen(looks), answer_tokens(config, policy))


def answer_tokens(config: Config, policy: PolicyConfig) -> int:
    """Tokens of a policy's answer, its end among them."""
    return min(config.planning.assumed.answer_tokens, policy.sampler.answers.max_new_tokens)

"""Samplers and judges that sleep in place of running a model; everything around them is the pipeline's own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any
from unittest.mock import patch

from pipelines import Pipeline, captions

from urm_ray.media import encode_image
from urm_ray.pipeline.actors import Judge, Sample

CANDIDATES = 2
QUESTIONS = 2 + CANDIDATES
"""About the candidates of a prompt: the pair in both orders, and each alone."""


@cache
def pictures() -> list[dict[str, Any]]:
    from PIL import Image

    return [encode_image(Image.new("RGB", (8, 8), (shade, 90, 255 - shade))) for shade in range(0, 256, 16)]


class Sleeper:
    """Sleeps for each of some things. What the clock made a sleep too long is taken off the next."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.over = seconds, 0.0

    def sleep(self, count: int) -> None:
        wanted, start = self.seconds * count - self.over, time.perf_counter()
        time.sleep(max(0.0, wanted))
        self.over = time.perf_counter() - start - wanted


class SleepingSampler(Sleeper):
    """Sleeps for each candidate, and has pictures of 8 x 8 pixels ready."""

    def sample(self, requests: Sequence[tuple[Any, int]], wanted: Sequence[bool] | None = None) -> list[dict[str, Any]]:
        self.sleep(len(requests))
        shades = pictures()
        return [
            {"index": n, "seed": seed, "media": shades[n % len(shades)], "text": None, "error": None}
            for n, (_, seed) in enumerate(requests)
        ]


class SleepingEngine(Sleeper):
    """Sleeps for each question, and answers each of a batch in another way than the one before."""

    def read(self, questions: Sequence[Any]) -> list[Any]:
        from urm_ray.judge.engine import Reading

        self.sleep(len(questions))
        readings = []
        for number, question in enumerate(questions):
            count = len(question.answers)
            chosen, others = 0.7, 0.3 / (count - 1)
            readings.append(Reading([chosen if k == number % count else others for k in range(count)], 1.0))
        return readings


class SleepingSample(Sample):
    """seconds: that a prompt takes."""

    seconds: float

    def __init__(self, **arguments: Any) -> None:
        sampler = SleepingSampler(self.seconds / CANDIDATES)
        with patch("urm_ray.candidates.samplers.load_sampler", lambda *_: sampler):
            super().__init__(**arguments)


class SleepingJudge(Judge):
    """seconds: that a prompt takes."""

    seconds: float

    def __init__(self, **arguments: Any) -> None:
        from urm_ray.judge.protocol import protocol
        from urm_ray.judge.scorer import JudgeScorer

        scorer = JudgeScorer(SleepingEngine(self.seconds / QUESTIONS), protocol("unified"))
        with patch.object(JudgeScorer, "load", lambda *_, **__: scorer):
            super().__init__(**arguments)


def sleeping_pipeline(prompts: int, actors: int, seconds: float, unit_rows: int) -> Pipeline:
    """actors: of each kind. seconds: that either takes for a prompt."""
    return Pipeline(
        SleepingSample, SleepingJudge, captions(prompts), unit_rows, actors, attributes={"seconds": seconds}
    )

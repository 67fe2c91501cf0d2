"""Samplers, judges, scorers and readers that die, hang and fail at prompts that say so; others they do as one does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import reward_benchmarks.asking
from PIL import Image

from urm_ray.judge.engine import Question, Reading
from urm_ray.media import encode_image
from urm_ray.pipeline.actors import Judge, ReadCandidates, Sample
from urm_ray.pipeline.ask_benchmarks import AskUnits
from urm_ray.pipeline.evaluate_judge import AskUnit
from urm_ray.sources.prompts import PromptFile
from urm_ray.sources.registry import Part, Rejected

NEVER = Path("/nowhere")
"""Of what does not say "once"."""


def act(words: str, who: str, once: Path) -> None:
    """Does what the prompt wants of this actor, such as "the judge dies". Where it says "once", the first time only."""
    if f"the {who} " not in words:
        return
    if "once" in words:
        try:
            (once / f"{who}-{words.replace(' ', '-')}").touch(exist_ok=False)
        except FileExistsError:
            return
    if "dies" in words:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hangs" in words:
        time.sleep(3600)
    if "faults" in words:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if "fails" in words:
        raise ValueError("it cannot be done")


class Sampler:
    """Pictures whose shade hangs on the seed and, as rounding may, on the other seeds of a batch of 4."""

    def __init__(self, once: Path) -> None:
        self.once = once

    def sample(self, requests: Sequence[tuple[str, int]], wanted: Sequence[bool] | None = None) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for start in range(0, len(requests), 4):
            batch = requests[start : start + 4]
            for prompt, _ in batch:
                act(prompt, "sampler", self.once)
            together = sum(seed for _, seed in batch) % 7
            for _, seed in batch:
                shade = (seed + together) % 251
                media = encode_image(Image.new("RGB", (4, 4), (shade,) * 3))
                made.append({"seed": seed, "media": media, "text": None, "error": None})
        return [{"index": i, **candidate} for i, candidate in enumerate(made)]


class Engine:
    """Prefers what is darker."""

    def __init__(self, once: Path) -> None:
        self.once = once

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        readings = []
        for question in questions:
            words = " ".join(p["text"] for p in question.messages[0]["content"] if p["type"] == "text")
            act(words.split("Caption: ")[-1].split("\n")[0], "judge", self.once)
            shades = [seen.getpixel((0, 0))[0] for seen in question.media]  # type: ignore[union-attr]
            if len(shades) == 2:
                winner = 2 if shades[0] == shades[1] else int(shades[1] < shades[0])
                readings.append(Reading([0.8 if i == winner else 0.1 for i in range(3)], 1.0))
            else:
                chosen = min(4, shades[0] // 51)
                readings.append(Reading([0.6 if i == chosen else 0.1 for i in range(5)], 1.0))
        return readings


class DyingSample(Sample):
    once: Path

    def __init__(self, **arguments: Any) -> None:
        with patch("urm_ray.candidates.samplers.load_sampler", lambda *_: Sampler(self.once)):
            super().__init__(**arguments)


class DyingJudge(Judge):
    once: Path

    def __init__(self, **arguments: Any) -> None:
        from urm_ray.judge.protocol import protocol
        from urm_ray.judge.scorer import JudgeScorer

        scorer = JudgeScorer(Engine(self.once), protocol("unified"))
        with patch.object(JudgeScorer, "load", lambda *_, **__: scorer):
            super().__init__(**arguments)


class DyingBenchmarkJudge(reward_benchmarks.asking.Engine):
    """Ends its process at the questions about one item."""

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        if any("what is in mathverse_2279?" in reward_benchmarks.asking.words_of(question) for question in questions):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(questions)


class DyingAskUnits(AskUnits):
    def __init__(self, **arguments: Any) -> None:
        from urm_ray.judge.protocol import protocol
        from urm_ray.judge.scorer import JudgeScorer

        scorer = JudgeScorer(DyingBenchmarkJudge(), protocol("unified"), 0.1)
        with patch.object(JudgeScorer, "load", lambda *_, **__: scorer):
            super().__init__(**arguments)


class DyingAskUnit(AskUnit):
    def __init__(self, **arguments: Any) -> None:
        from urm_ray.judge.protocol import protocol
        from urm_ray.judge.scorer import JudgeScorer

        scorer = JudgeScorer(Engine(NEVER), protocol("unified"))
        with patch.object(JudgeScorer, "load", lambda *_, **__: scorer):
            super().__init__(**arguments)


class DyingPrompts(PromptFile):
    """A prompt file that is read by "the reader"."""

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        for row in super().read(part, start, stop):
            if isinstance(row, dict):
                act(row["prompt"], "reader", NEVER)
            yield row


_MEDIA = PromptFile.media


def _dying_media(self: PromptFile, key: str, name: str) -> dict[str, Any] | str:
    act(Path(name).stem, "decoder", NEVER)
    return _MEDIA(self, key, name)


class DyingReadCandidates(ReadCandidates):
    """Reads pictures with "the decoder", which does what the names of the files say."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        with patch.object(PromptFile, "media", _dying_media):
            return super().__call__(batch)


class DyingScorer:
    """The shade of a picture."""

    def figures(self, prompt: str, candidate: Image.Image, context: Sequence[Any] = ()) -> dict[str, float | None]:
        act(prompt, "scorer", NEVER)
        return {"shade": float(candidate.getpixel((0, 0))[0])}  # type: ignore[index]

"""GenAI-Bench: votes of an arena on generated pictures, edited pictures and generated clips (arXiv 2406.04485).

Parquet as on the hub: three configurations, each with the splits `test` and `test_v1`. A record names what the two
models made `left` and `right`; `vote_type` is leftvote, rightvote, tievote (both good) or bothbad_vote. Of a clip the
record has an address on the hub (tianleliphoebe/genai-arena-video-mp4); the file of that name is looked for in the
folder and in `videos` and `dir` below it. UnifiedReward keeps a JSON copy of the clips' `test`, which is read as well.

Published accuracies are of two kinds that cannot be compared: the benchmark's own are four-way, on test_v1, with the
left candidate shown first; the paper's tau and diff are three-way, on test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from urm_ray.config_training import Task
from urm_ray.evaluation.accuracy import counted, pair_figures, tau_columns
from urm_ray.evaluation.calls import Row, four_way_right
from urm_ray.reward_benchmarks.comparison import Benchmark, Comparison, Label, Measuring, overall
from urm_ray.reward_benchmarks.layouts import open_records
from urm_ray.schema import digest
from urm_ray.sources.draft import File, Media
from urm_ray.sources.fields import FieldError, Record, drafts_of, text
from urm_ray.sources.hub_parquet import picture
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected

VOTES: dict[str, Label] = {
    "leftvote": "first",
    "rightvote": "second",
    "tievote": "tie_good",
    "bothbad_vote": "tie_bad",
}


class _GenAIBench(Benchmark):
    hub = "TIGER-Lab/GenAI-Bench"
    split: ClassVar[str] = "test"
    config: ClassVar[str]
    task: ClassVar[Task]
    columns: ClassVar[Sequence[str]]

    def __init__(self, path: str) -> None:
        parquet = [f"**/{self.config}/{self.split}-*.parquet", f"**/{self.config}/{self.split}/*.parquet"]
        copies = "**/data.json" if self.split == "test" else "**/data_v1.json"
        self.records = open_records(path, self.columns, [*parquet, f"{self.split}-*.parquet"], copies)

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def items(self, unit: Unit) -> Iterator[Comparison | Rejected]:
        return drafts_of(self.records.read(unit), self._item)

    def _item(self, key: str, record: Record) -> Iterator[Comparison]:
        vote = text(record, "vote_type")
        if vote not in VOTES:
            raise FieldError("unknown vote", vote[:40])
        prompt = self._prompt(record)
        candidates = self._candidate(record, "left"), self._candidate(record, "right")
        cluster = digest("prompt", prompt)[:16]
        yield Comparison(
            key, self.task, prompt, candidates, overall(VOTES[vote]), self._context(record), cluster=cluster
        )

    def _prompt(self, record: Record) -> str:
        return text(record, "prompt")

    def _candidate(self, record: Record, side: str) -> Media:
        return picture(record, f"{side}_image")

    def _context(self, record: Record) -> tuple[Media, ...]:
        return ()

    @classmethod
    def measure(cls, rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
        """tau and diff as means over orders and of both orders together, and the official four-way accuracy."""
        figures = pair_figures(rows, how.seed, how.resamples)
        official = counted(rows, lambda row: (four_way_right(row), 1), how.seed, how.resamples)
        columns = tau_columns(figures) | {"Four-way, left first": official}
        return {"columns": columns, "figures": figures | {"four_way": official}}


class Images(_GenAIBench):
    title = "GenAI-Bench image, test"
    sizes: ClassVar[Mapping[str, int]] = {"all": 3192}
    config, task = "image_generation", "image_generation"
    columns = ("prompt", "left_image", "right_image", "vote_type")


class ImagesV1(Images):
    title = "GenAI-Bench image, test_v1"
    sizes: ClassVar[Mapping[str, int]] = {"all": 1735}
    split = "test_v1"


class Edits(_GenAIBench):
    """The prompt is the instruction, and the picture before the edit stands before the two candidates."""

    title = "GenAI-Bench edit, test"
    sizes: ClassVar[Mapping[str, int]] = {"all": 983}
    config, task = "image_edition", "image_generation"
    columns = ("instruct_prompt", "source_image", "left_output_image", "right_output_image", "vote_type")

    def _prompt(self, record: Record) -> str:
        return text(record, "instruct_prompt")

    def _candidate(self, record: Record, side: str) -> Media:
        return picture(record, f"{side}_output_image")

    def _context(self, record: Record) -> tuple[Media, ...]:
        return (picture(record, "source_image"),)


class EditsV1(Edits):
    title = "GenAI-Bench edit, test_v1"
    sizes: ClassVar[Mapping[str, int]] = {"all": 919}
    split = "test_v1"


class Clips(_GenAIBench):
    title = "GenAI-Bench video, test"
    media_hub = "tianleliphoebe/genai-arena-video-mp4"
    places = ("", "videos", "dir")
    config, task = "video_generation", "video_generation"
    columns = ("prompt", "left_video", "right_video", "vote_type")

    def _candidate(self, record: Record, side: str) -> Media:
        """The file's name alone: of an address on the hub, or as the JSON copy has it under `video_left`."""
        named = text(record, f"video_{side}" if f"video_{side}" in record else f"{side}_video")
        path = unquote(urlsplit(named).path) if "://" in named else named
        return File(PurePosixPath(path).name, "video")


class ClipsV1(Clips):
    title = "GenAI-Bench video, test_v1"
    sizes: ClassVar[Mapping[str, int]] = {"all": 1069}
    split = "test_v1"

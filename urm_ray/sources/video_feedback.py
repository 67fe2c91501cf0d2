"""Points of VideoFeedback: hub name TIGER-Lab/VideoFeedback, configs annotated and real, split train.

Parquet: `text prompt`, `images`, the names of the clip's frames, and five columns of scores from 1 to 4. The frames
come in annotated/frames_annotated_train.zip and real/frames_real_train.zip, where p110367_22.jpg lies in a folder
p110367; the data set's own code unpacks both into images/ (training/prepare_conv.py, download_anno.sh). All clips were
brought to 8 frames a second before people saw them (arXiv 2406.15252).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from urm_ray.judge.scale import SCALES
from urm_ray.sources.draft import Draft, Frames, point
from urm_ray.sources.fields import FieldError, Record, drafts_of, number, text, texts
from urm_ray.sources.hub_parquet import TRAIN_FILES
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import ParquetRecords
from urm_ray.sources.registry import Rejected

FPS = 8.0
DIMENSIONS = (
    "visual quality",
    "temporal consistency",
    "dynamic degree",
    "text-to-video alignment",
    "factual consistency",
)


class VideoFeedback:
    """Five points of every clip on the scale 1-4, one in each dimension. A score that is missing or no number costs its
    dimension; a clip without a prompt or frames costs all five, and so do frames of different clips."""

    def __init__(self, path: str) -> None:
        self.records = ParquetRecords(path, ["images", "text prompt", *DIMENSIONS], TRAIN_FILES)

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), self._points)

    def _points(self, key: str, record: Record) -> Iterator[Draft | Rejected]:
        prompt, names = text(record, "text prompt"), texts(record, "images")
        folders = {name.partition("_")[0] for name in names}
        if len(folders) > 1:
            raise FieldError("frames of different clips", ", ".join(sorted(folders))[:80])
        place = self._place(key.rpartition(":")[0], folders.pop())
        clip, scale = Frames(tuple(f"{place}/{name}" for name in names), FPS), SCALES["1-4"].row()
        for dimension in DIMENSIONS:
            try:
                score = number(record, dimension)
            except FieldError as error:
                yield Rejected(f"{key}:{dimension}", error.reason, error.detail)
                continue
            yield point("videofeedback", key, "video_generation", prompt, clip, score, scale, (), dimension)

    def _place(self, file: str, clip: str) -> str:
        """The folder of a clip's frames: as the data set's own code unpacks them, or beside the parquet file, or in a
        folder named like the archive there; of what is not unpacked, its place beside the parquet file."""
        config = PurePosixPath(file).parent
        places = [PurePosixPath("images"), config / "images", config / f"frames_{config.name}_train", config]
        for place in places:
            found = self.records.folder.find(str(place / clip))
            if found is not None and found.is_dir():
                break
        return str(place / clip)

"""Pairs of open image preferences: hub name data-is-better-together/open-image-preferences-v1-binarized.

Parquet, split train, some 7,400 rows: `prompt` and the pictures `chosen` and `rejected` (paper, section III-B: used as
they are). The pairs that people called equal are not in this binarised form.
"""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray.sources.draft import Draft, pair
from urm_ray.sources.fields import Record, drafts_of, text
from urm_ray.sources.hub_parquet import TRAIN_FILES, picture
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import ParquetRecords
from urm_ray.sources.registry import Rejected


class OpenImagePreferences:
    """Keeps every row with a prompt and both pictures; `chosen` comes first and is preferred."""

    def __init__(self, path: str) -> None:
        self.records = ParquetRecords(path, ["prompt", "chosen", "rejected"], TRAIN_FILES)

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _pair)


def _pair(key: str, record: Record) -> Iterator[Draft]:
    pictures = picture(record, "chosen"), picture(record, "rejected")
    yield pair("open-image-preferences", key, "image_generation", text(record, "prompt"), pictures, "first")

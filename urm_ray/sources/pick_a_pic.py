"""Pairs of Pick-a-Pic: hub names yuvalkirstain/pickapic_v1 (584k pairs) and pickapic_v2 (959k), of the same columns.

Parquet, split train: `caption`, the pictures' bytes `jpg_0` and `jpg_1`, and `label_0`, which is 1 where the first is
preferred, 0 where the second is and 0.5 for a tie; `label_1` is the rest to 1 (data set card; arXiv 2305.01569). About
12% are ties, which training on the pairs themselves leaves out (paper, appendix) and which a judge should know.
"""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray.sources.draft import Draft, Label, pair
from urm_ray.sources.fields import FieldError, Record, drafts_of, number, text
from urm_ray.sources.hub_parquet import TRAIN_FILES, picture
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import ParquetRecords
from urm_ray.sources.registry import Rejected

_LABELS: dict[float, Label] = {1.0: "first", 0.0: "second", 0.5: "tie"}


class PickAPic:
    """Keeps labelled pairs of two different pictures, ties among them.

    Put aside: rows whose `has_label` is false (nobody chose, which is no tie), whose `are_different` is false, whose
    labels are other numbers or do not add up to 1, and rows of the sets without pictures (`pickapic_v2_no_images`).
    """

    def __init__(self, path: str) -> None:
        optional = ["label_1", "has_label", "are_different"]
        self.records = ParquetRecords(path, ["caption", "jpg_0", "jpg_1", "label_0"], TRAIN_FILES, optional)

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _pair)


def _pair(key: str, record: Record) -> Iterator[Draft]:
    if record.get("has_label") is False:
        raise FieldError("not labelled")
    if record.get("are_different") is False:
        raise FieldError("the same picture twice")
    label = number(record, "label_0")
    if label not in _LABELS:
        raise FieldError("unknown label", f"label_0 is {label:g}")
    if record.get("label_1") is not None and number(record, "label_1") != 1 - label:
        raise FieldError("labels contradict each other", f"{label:g} and {record['label_1']}")
    pictures = picture(record, "jpg_0"), picture(record, "jpg_1")
    yield pair("pick-a-pic", key, "image_generation", text(record, "caption"), pictures, _LABELS[label])

"""Pairs of HPD, as the paper calls Rapidata's 700k votes: Rapidata/700k_Human_Preference_Dataset_FLUX_SD3_MJ_DALLE3.

Parquet, splits train_0001 to train_0026, 25,622 rows: two pictures, and how many people preferred each (data set card;
arXiv 2409.11904). The people saw the pictures without the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray.sources.draft import Draft, pair, preferred
from urm_ray.sources.fields import FieldError, Record, drafts_of, integer, text
from urm_ray.sources.hub_parquet import TRAIN_FILES, picture
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import ParquetRecords
from urm_ray.sources.registry import Rejected


class HPD:
    """Keeps every row with votes: the picture with more of them is preferred (paper III-B), and equal votes are a tie.

    The paper does not say what it did with equal votes; dropping them would be to claim that people always prefer one.
    Put aside: rows without votes or with a count below zero, without a prompt or a picture.
    """

    def __init__(self, path: str) -> None:
        columns = ["prompt", "image1", "image2", "votes_image1", "votes_image2"]
        self.records = ParquetRecords(path, columns, TRAIN_FILES)

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _pair)


def _pair(key: str, record: Record) -> Iterator[Draft]:
    first, second = integer(record, "votes_image1"), integer(record, "votes_image2")
    if min(first, second) < 0:
        raise FieldError("votes below zero", f"{first} and {second}")
    if not first + second:
        raise FieldError("no votes")
    pictures = picture(record, "image1"), picture(record, "image2")
    yield pair("hpd", key, "image_generation", text(record, "prompt"), pictures, preferred(first, second))

"""What data sets in the hub's parquet layout share: where their training split lies, and how they hold pictures."""

from __future__ import annotations

from urm_ray.sources.draft import Encoded, File
from urm_ray.sources.fields import FieldError, Record, value
from urm_ray.sources.records import encoded

TRAIN_FILES = ("**/train*.parquet", "**/train*/*.parquet")
"""The training split as it is uploaded (data/train-00000-of-00005.parquet) and as the hub converts it
(default/train/0000.parquet). Of a folder these are read and the splits that others evaluate on are left alone; to read
one of those, name its file."""


def picture(record: Record, name: str) -> Encoded | File:
    """The picture of a column; FieldError "no NAME" where the cell holds none."""
    found = encoded(value(record, name))
    if found is None:
        raise FieldError(f"no {name}")
    return found

"""Preferences in our own schema (`urm_ray.schema.PREFERENCE`), such as another import has written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from urm_ray.schema import PREFERENCE
from urm_ray.sources.draft import Draft, Encoded, File
from urm_ray.sources.fields import FieldError, Record, drafts_of, number, text
from urm_ray.sources.reader import Unit
from urm_ray.sources.records import ParquetRecords
from urm_ray.sources.registry import Rejected


class Preferences:
    """Every row of parquet files with the columns of the schema, as it is: id, source and all. Media are encoded bytes
    or a `uri` relative to the folder; their sizes are measured anew.

    Put aside: rows without id, task or source, and all that `urm_ray.sources.check` finds.
    """

    def __init__(self, path: str) -> None:
        self.records = ParquetRecords(path, PREFERENCE.names)

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def drafts(self, unit: Unit) -> Iterator[Draft | Rejected]:
        return drafts_of(self.records.read(unit), _draft)


def _draft(key: str, record: Record) -> Iterator[Draft]:
    named = {name: text(record, name) for name in ("preference_id", "task", "source")}
    score = None if record["score"] is None else number(record, "score")
    context = [_media(media or {}) for media in record["context"] or []]
    candidates = [
        {"media": _media(c["media"]) if c and c["media"] else None, "text": c and c["text"]}
        for c in record["candidates"] or []
    ]
    yield {**record, **named, "key": key, "score": score, "context": context, "candidates": candidates}


def _media(value: dict[str, Any]) -> Encoded | File:
    kind = value.get("kind")
    if kind not in ("image", "video"):
        raise FieldError("unknown kind of media", str(kind))
    if value.get("data"):
        return Encoded(value["data"], kind)
    if value.get("uri"):
        return File(value["uri"], kind)
    raise FieldError("media without data")

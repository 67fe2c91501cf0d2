"""Writes rows with media to a parquet file as they come, so that few of them are held at a time."""

from __future__ import annotations

import contextlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from urm_ray import schema, store

GROUP_BYTES = 16 << 20
GROUP_ROWS = 64
"""A row group is closed once it has so many bytes of media or so many rows. What reads single rows reads whole row
groups, and has to hold one of them."""


class RowGroups:
    """A parquet file that grows by row groups. Leaving the block finishes it, and an error leaves none behind.

    Equal rows in equal order give equal bytes. empty: whether there is a file if there are no rows.
    """

    def __init__(self, uri: str, columns: pa.Schema, empty: bool = False) -> None:
        self.uri, self.columns, self.empty = uri, columns, empty
        self.rows = 0
        self._held: list[dict[str, Any]] = []
        self._bytes = 0
        self._open = contextlib.ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> RowGroups:
        return self

    def add(self, row: dict[str, Any]) -> None:
        self._held.append(row)
        self.rows += 1
        self._bytes += _media_bytes(row)
        if self._bytes >= GROUP_BYTES or len(self._held) >= GROUP_ROWS:
            self._flush()

    def __exit__(self, *error: Any) -> None:
        if error[0] is not None:
            self._open.__exit__(*error)
            return
        with self._open:
            if self._held or (self.empty and not self.rows):
                self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            stream = self._open.enter_context(store.writing(self.uri))
            writer = pq.ParquetWriter(stream, self.columns, compression="zstd", store_schema=False)
            self._writer = self._open.enter_context(writer)
        self._writer.write_table(schema.table_of(self._held, self.columns))
        self._held, self._bytes = [], 0


def _media_bytes(row: dict[str, Any]) -> int:
    media = [*(row.get("context") or []), *((c or {}).get("media") for c in row.get("candidates") or [])]
    return sum(len(one["data"]) for one in media if one and one["data"])

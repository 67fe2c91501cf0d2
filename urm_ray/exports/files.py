"""What exports write: media files that are named by their content, JSON lines, and parquet a part at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from urm_ray.clips import Sampling, decode_clip
from urm_ray.media import MediaError, encode_image

MEDIA = "media"
"""The folder of an export that holds its pictures and clips."""
PART_ROWS = 64
"""Rows of a parquet export that are in memory together, with their pictures."""
_ENDINGS: list[tuple[str, Callable[[bytes], bool]]] = [
    (".png", lambda data: data.startswith(b"\x89PNG")),
    (".jpg", lambda data: data.startswith(b"\xff\xd8")),
    (".webp", lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP"),
    (".avi", lambda data: data[:4] == b"RIFF" and data[8:12] == b"AVI "),
    (".mp4", lambda data: data[4:8] == b"ftyp"),
    (".mkv", lambda data: data.startswith(b"\x1a\x45\xdf\xa3")),
]


class MediaFiles:
    """Writes `schema.MEDIA` values as files in `FOLDER/media`, each content once."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        (self.folder / MEDIA).mkdir(parents=True, exist_ok=True)

    def save(self, media: dict[str, Any] | None) -> str:
        """Writes the encoded bytes as they are; the path in the export's folder. MediaError where there are none."""
        if not media or not media["data"]:
            raise MediaError("no picture or clip")
        data = media["data"]
        ending = next((name for name, fits in _ENDINGS if fits(data)), None)
        if ending is None:
            raise MediaError(f"no known kind of file: it begins with {data[:8]!r}")
        # Not by the digest that the row says: it is data, and could be a path.
        path = self.folder / MEDIA / f"{hashlib.sha256(data).hexdigest()[:32]}{ending}"
        if not path.exists():
            path.write_bytes(data)
        return str(path.relative_to(self.folder))


def pictures_of(media: dict[str, Any] | None, frames: int) -> list[dict[str, Any]]:
    """A picture as it is, a clip as this many of its frames, evenly spread; `schema.MEDIA` values of pictures."""
    if media is None or media["kind"] != "video":
        return [media or {}]
    return [encode_image(frame) for frame in decode_clip(media, Sampling(count=frames)).frames]


class JsonLines:
    """A file with an object a line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream: TextIOWrapper = path.open("w", encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._stream.close()


class Parquet:
    """A parquet file that is written `PART_ROWS` rows at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer, self.schema = pq.ParquetWriter(path, schema), schema
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == PART_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self.schema))
        self._rows = []

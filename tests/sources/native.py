"""Small copies of published data sets in their own formats, and what becomes of their records on the way to rows.

Pictures and clips are of one grey each, `SHADES` apart, so that a row can be told by what it shows.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from clip_files import video_file
from PIL import Image

from urm_ray import schema
from urm_ray.clips import Sampling, decode_media
from urm_ray.sources.check import check_preference
from urm_ray.sources.fields import Record
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.reader import reader
from urm_ray.sources.registry import Rejected

SHADES = 10
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How the hub's libraries write a picture."""
TURNS = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))


def grey(shade: int, form: str = "JPEG", width: int = 24, height: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade * SHADES,) * 3).save(buffer, form)
    return buffer.getvalue()


def cut(shade: int) -> bytes:
    """A JPEG file of which the end is missing."""
    dice = np.random.default_rng(shade).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(dice).save(buffer, "JPEG")
    return buffer.getvalue()[:900]


def image(data: bytes | None, path: str | None = None) -> dict[str, Any]:
    return {"bytes": data, "path": path}


def grey_clip(shade: int, frames: int = 9) -> bytes:
    """An mp4 file, 8 frames a second."""
    return video_file([Image.new("RGB", (48, 32), (shade * SHADES,) * 3)] * frames)


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        write(folder / name, data)


def write_parquet(path: Path, rows: Sequence[Record], columns: Mapping[str, pa.DataType], group: int = 2) -> None:
    """Rows in row groups of `group`, as large uploads have them; a missing value is null."""
    table = pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in columns.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)


def write_zip(path: Path, files: Mapping[str, bytes], parts: int = 0) -> None:
    """A zip file; with `parts` cut into NAME.part-aa and so on, as `split` does."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    data = buffer.getvalue()
    if not parts:
        return write(path, data)
    step = -(-len(data) // parts)
    for i in range(parts):
        write(path.with_name(f"{path.name}.part-a{chr(ord('a') + i)}"), data[i * step : (i + 1) * step])
    return None


def read_all(name: str, path: Path | str, rows: int = 3) -> tuple[list[dict[str, Any]], list[Rejected]]:
    """Rows and what was put aside, read as a job does: planned once, then every part by a reader of its own."""
    kept: list[dict[str, Any]] = []
    rejected: list[Rejected] = []
    for unit in reader(name, str(path)).units(rows):
        media = MediaFolder(str(path))
        for draft in reader(name, str(path)).drafts(json.loads(json.dumps(unit))):
            row = draft if isinstance(draft, Rejected) else media.fill(draft)
            problem = row if isinstance(row, Rejected) else check_preference(row)
            if problem is None and isinstance(row, dict):
                kept.append(row)
            elif problem is not None:
                rejected.append(problem if isinstance(draft, Rejected) else replace(problem, row_id=draft["key"]))
    schema.table_of(kept, schema.PREFERENCE)
    ids = [row["preference_id"] for row in kept]
    assert len(set(ids)) == len(ids)
    assert {row["source"] for row in kept} <= {name}
    return kept, rejected


def reasons(rejected: Sequence[Rejected]) -> list[tuple[str, str]]:
    """Which record was put aside and why."""
    return [(r.row_id, r.reason) for r in rejected]


def shade_of(media: dict[str, Any]) -> int:
    """The number of a picture's or clip's grey."""
    found = decode_media(media, Sampling(count=1))
    picture = found if isinstance(found, Image.Image) else found.frames[0]
    return round(float(np.asarray(picture).mean()) / SHADES)


def shown(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row in short: prompt, label or score, and the shades or texts of its candidates."""
    candidates = [c["text"] if c["media"] is None else shade_of(c["media"]) for c in row["candidates"]]
    return row["prompt"], row["label"] if row["kind"] == "pair" else round(row["score"], 4), *candidates

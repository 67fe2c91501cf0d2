"""How benchmarks lie in folders: as parquet files of the hub, or as a JSON file beside pictures and clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from urm_ray.sources.draft import File, Frames, Media
from urm_ray.sources.folder import Folder
from urm_ray.sources.records import JsonRecords, ParquetRecords
from urm_ray.sources.registry import SourceError


def open_records(
    path: str,
    columns: Sequence[str],
    parquet: str | Sequence[str],
    json: str | Sequence[str],
    optional: Sequence[str] = (),
    inside: str | None = None,
) -> ParquetRecords | JsonRecords:
    """The records of the parquet files that match, else those of the JSON files; SourceError where there is neither.

    A path to one file is read by its ending. inside: the key under which a JSON file has its list.
    """
    folder = Folder(path)
    if folder.file is not None:
        as_parquet = folder.file.endswith(".parquet")
    else:
        as_parquet = _holds(folder, parquet)
        if not as_parquet and not _holds(folder, json):
            patterns = [p for group in (parquet, json) for p in ([group] if isinstance(group, str) else group)]
            raise SourceError(f"{folder.root} holds no {' or '.join(patterns)}")
    if as_parquet:
        return ParquetRecords(path, columns, parquet, optional)
    return JsonRecords(path, json, inside)


def _holds(folder: Folder, patterns: str | Sequence[str]) -> bool:
    try:
        return bool(folder.files(patterns))
    except SourceError:
        return False


def beside(key: str, media: Media) -> Media:
    """Media that the record with this key names, by paths from the data set's folder and not from the record's file."""
    folder = PurePosixPath(key.rpartition(":")[0]).parent
    if isinstance(media, File):
        return File(str(folder / media.path), media.kind)
    if isinstance(media, Frames):
        return Frames(tuple(str(folder / path) for path in media.paths), media.fps)
    return media

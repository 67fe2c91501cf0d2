"""Writes pairs of a run, or preferences, in the format of another tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow.dataset as pads

from urm_ray.exports.llama_factory import LlamaFactoryJudge, LlamaFactoryPairs
from urm_ray.exports.ms_swift import MsSwiftPairs
from urm_ray.exports.pick_a_pic import PickAPicPairs
from urm_ray.exports.trl import TrlPairs
from urm_ray.exports.videodpo import VideoDpoPairs
from urm_ray.file_systems import is_object, locate
from urm_ray.judge.protocol import protocol
from urm_ray.local_copies import filling
from urm_ray.media import MediaError
from urm_ray.schema import PREFERENCE, SIFTED_SET
from urm_ray.sources.check import need_values
from urm_ray.sources.registry import SourceError

TOGETHER = 32
"""Rows that are in memory together, with their media."""
ANSWERS = ("image_understanding", "video_understanding")
ALL = ("image_generation", "video_generation", *ANSWERS)


class Writer(Protocol):
    """One file, or more, of one task in one format."""

    def write(self, row: dict[str, Any]) -> None:
        """Adds a row; MediaError where one of its files cannot be had."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Options:
    """frames: of a clip, where the format knows pictures alone. protocol: in which a judge is asked. place: where the
    folder will lie once it is whole, which `export` says itself."""

    frames: int = 8
    protocol: str = "unified"
    place: Path = Path()


@dataclass(frozen=True)
class Format:
    """Which rows of which tasks a format can hold, and what writes them into a folder."""

    takes: str
    tasks: Sequence[str]
    writer: Callable[[Path, str, Options], Writer]


FORMATS = {
    "trl": Format("pairs", ANSWERS, lambda folder, task, options: TrlPairs(folder, task, options.frames)),
    "llama-factory": Format("pairs", ANSWERS, lambda folder, task, _: LlamaFactoryPairs(folder, task)),
    "ms-swift": Format("pairs", ANSWERS, lambda folder, task, options: MsSwiftPairs(folder, task, options.place)),
    "pick-a-pic": Format("pairs", ("image_generation",), lambda folder, task, _: PickAPicPairs(folder, task)),
    "videodpo": Format("pairs", ("video_generation",), lambda folder, task, _: VideoDpoPairs(folder, task)),
    "llama-factory-judge": Format(
        "preferences",
        ALL,
        lambda folder, task, options: LlamaFactoryJudge(folder, task, protocol(options.protocol)),
    ),
}


def export(name: str, source: str, out: str, options: Options | None = None) -> dict[str, Any]:
    """Writes what a folder of parquet files holds in the format of this name, and returns what was kept and left out.

    source: the `sifted` part of a run's pairs stage, or for judges `schema.PREFERENCE` files. SourceError where it is
    neither, where the format has no place for any of its tasks, or where the folder to write to is not empty. That
    folder is there only once all is written.
    """
    if name not in FORMATS:
        raise SourceError(f"no format {name!r}; there are {', '.join(FORMATS)}")
    if is_object(out):
        raise SourceError(f"exports are written to a folder of this machine, not to {out}")
    if Path(out).exists() and (not Path(out).is_dir() or any(Path(out).iterdir())):
        raise SourceError(f"{out} is not empty: name a folder that is, or none")
    with filling(out) as folder:
        return _write(name, source, folder, replace(options or Options(), place=Path(out).resolve()))


def _write(name: str, source: str, folder: Path, options: Options) -> dict[str, Any]:
    form = FORMATS[name]
    writers: dict[str, Writer] = {}
    kept: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for row in _rows(form, source):
        task = row["task"]
        try:
            reason = _unfit(row, name)
            if reason is None:
                if task not in writers:
                    writers[task] = form.writer(folder, task, options)
                writers[task].write(row)
        except MediaError as error:
            reason = str(error).partition(":")[0]
        kept.update([task] if reason is None else [])
        left_out.update([] if reason is None else [reason])
    for writer in writers.values():
        writer.close()
    if not kept:
        raise SourceError(f"nothing of {source} can be written as {name}: {dict(left_out) or 'it holds no rows'}")
    return {"kept": dict(kept), "left_out": dict(left_out)}


def _unfit(row: dict[str, Any], name: str) -> str | None:
    """Why a row has no place in a format."""
    if row.get("dropped"):
        return f"dropped by sifting ({row['dropped']})"
    return None if row["task"] in FORMATS[name].tasks else f"{name} has no place for {row['task']}"


def _rows(form: Format, source: str) -> Iterator[dict[str, Any]]:
    schema = SIFTED_SET if form.takes == "pairs" else PREFERENCE
    needed = ["task", "pair_id", "prompt", "context", "chosen", "rejected", "dropped"]
    columns = needed if form.takes == "pairs" else PREFERENCE.names
    try:
        file_system, path = locate(source)
        data = pads.dataset(path, filesystem=file_system, format="parquet")
    except (OSError, ValueError) as error:
        raise SourceError(f"{source} cannot be read as parquet: {str(error).splitlines()[0]}") from None
    if missing := set(columns) - set(data.schema.names):
        what = "the `sifted` folder of a pairs stage" if schema is SIFTED_SET else "a folder of preferences"
        raise SourceError(f"{source} is not {what}: it lacks {', '.join(sorted(missing))}")
    need_values(data.schema, columns, source)
    for batch in data.to_batches(columns=columns, batch_size=TOGETHER, batch_readahead=1, fragment_readahead=1):
        yield from batch.to_pylist()

"""Takes the distinct prompts of a published data set, without its candidates, as a file for `prepare.prompts_path`.

FILE.txt has a prompt a line. FILE.jsonl has an object a line, and names the pictures and clips that a prompt is about,
which are written to `media` beside it. Prompts are drawn by lots (`urm_ray.sources.choice`) and stand in their order,
so that the same settings and data give the same file, whoever reads them. Only the media of prompts that are taken are
read. What this process holds are the lots of all prompts and the words of those that are taken.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from urm_ray import store
from urm_ray.config_mix import Mix, MixSource, WebConfig
from urm_ray.exports.files import MediaFiles
from urm_ray.lock import LockedError, held
from urm_ray.pipeline.attempts import Attempts, Care
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.import_sources import MOST_BLOCKS, PUT_ASIDE_SHARE, ROW_LIMIT_S, place
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.schema import MEDIA, digest
from urm_ray.sources.check import MAX_CHARACTERS, text_problem
from urm_ray.sources.choice import lot
from urm_ray.sources.draft import Draft, Encoded, File, Media
from urm_ray.sources.fields import FieldError
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.questions import Questions
from urm_ray.sources.reader import Reader, Unit, reader
from urm_ray.sources.registry import Rejected, SourceError

QUESTIONS = "questions"
"""The name of the reader that reads prompts alone."""
FOUND = pa.schema(
    [
        ("lot", pa.string()),
        ("unit", pa.int64()),
        ("prompt", pa.string()),
        ("context", pa.list_(MEDIA)),
        ("problem", pa.string()),
    ]
)
"""What a worker finds. Without `prompt`: that there is one; without `lot`: a record that gives none."""
_NOTHING: dict[str, Any] = dict.fromkeys(FOUND.names)
_KEYS = {"image": "images", "video": "videos"}


class AskedUnit:
    """Reads units of a source, whose path and media's path are local ones."""

    def __init__(self, source: MixSource, seed: int, web: WebConfig) -> None:
        self.share(None, 1)
        self.source, self.seed, self.web = source, seed, web

    def share(self, care: Care | None, rows: int) -> None:
        """From now on the attempts of all copies of this object are in one ledger. rows: of a unit, at most."""
        self.attempts, self.rows = Attempts("importing", care), rows

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for errand in batch["errand"].to_pylist():
            for row in self.work(*json.loads(errand)):
                yield pa.Table.from_pylist([row], FOUND)

    def work(self, number: int, unit: Unit, lots: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Each prompt once: that it is there, or, where lots are given, those prompts with their media."""
        if lots:
            yield from self._read(number, unit, lots)
        else:
            # No row can be to blame by itself: they are read together, and nothing is decoded.
            name = f"unit {number} of {self.source.source}"
            yield from self.attempts.together(name, self.rows, lambda _: list(self._listed(number, unit)), lambda: ())

    def _listed(self, number: int, unit: Unit) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        for draft in asked_reader(self.source).drafts(unit):
            problem = self._problem(draft)
            if isinstance(draft, Rejected) or problem:
                if problem:
                    yield _NOTHING | {"unit": number, "problem": problem}
            elif (own := lot(self.seed, _key(draft))) not in seen:
                seen.add(own)
                yield _NOTHING | {"unit": number, "lot": own}

    def _read(self, number: int, unit: Unit, lots: Sequence[str]) -> Iterator[dict[str, Any]]:
        left, media = set(lots), MediaFolder(self.source.media or self.source.path, self.web)
        for draft in asked_reader(self.source).drafts(unit):
            if isinstance(draft, Rejected) or self._problem(draft) or (own := lot(self.seed, _key(draft))) not in left:
                continue
            left.remove(own)
            # One prompt's media in memory at a time, so that they are tried one by one from the first.
            name = f"{draft['key']} of {self.source.source}, {own}"
            about = self.attempts.each(name, partial(_context, draft, media), lambda reason: {"problem": reason})
            yield _NOTHING | {"unit": number, "lot": own, "prompt": draft["prompt"]} | about

    def _problem(self, draft: Draft | Rejected) -> str | None:
        """Why a record gives no prompt."""
        if isinstance(draft, Rejected):
            return draft.reason
        wanted = self.source
        if any(getattr(wanted, name) not in (None, draft[name]) for name in ("task", "kind", "dimension")):
            return "of another task, kind or dimension"
        bad = text_problem(draft["prompt"], "prompt", MAX_CHARACTERS)
        return bad and bad[0]


def asked_reader(source: MixSource) -> Reader:
    return Questions(source.path) if source.source == QUESTIONS else reader(source.source, source.path)


def _key(draft: Draft) -> str:
    """What makes a prompt another one: its words, and what it is about."""
    return digest("prompt", draft["prompt"].strip(), [_name(media) for media in draft["context"]])


def _name(media: Media) -> str:
    if isinstance(media, Encoded):
        return hashlib.sha256(media.data).hexdigest()
    return media.path if isinstance(media, File) else "\n".join(media.paths)


def _context(draft: Draft, media: MediaFolder) -> dict[str, Any]:
    try:
        return {"context": [media.read(one) for one in draft["context"]]}
    except FieldError as error:
        return {"problem": error.reason}


def spread(
    work: AskedUnit, errands: Sequence[tuple[int, Unit, list[str]]], cpus: float, unit_rows: int
) -> Iterator[dict[str, Any]]:
    """What is found in units, of so many rows, on all nodes, in any order."""
    connect()
    ledger = SharedLedger("import", sum(len(lots) or unit_rows for *_, lots in errands), PUT_ASIDE_SHARE)
    work.share(Care(ledger, ROW_LIMIT_S), unit_rows)
    rows = ray.data.from_items(
        [{"errand": json.dumps(errand)} for errand in errands], override_num_blocks=min(len(errands), MOST_BLOCKS)
    ).map_batches(work, batch_size=1, batch_format="pyarrow", num_cpus=cpus)
    yield from rows.iter_rows()


def import_prompts(mix: Mix, file: str) -> int:
    """Writes the prompts of a mix's one source to a file, and returns how many: as many as it takes, all if it has
    fewer. What a prompt is about may turn out broken; the next one takes its place.

    SourceError where the source is not there or gives no prompt, and for a .txt of prompts that are about media.
    StoreError where another process writes the file.
    """
    target = Path(file).expanduser()
    if target.suffix not in (".txt", ".jsonl"):
        raise SourceError(f"--prompts: {file} is neither a .txt nor a .jsonl")
    (source,) = mix.sources
    source = source.model_copy(
        update={"path": place(mix, source.path), "media": source.media and place(mix, source.media)}
    )
    units = list(asked_reader(source).units(mix.unit_rows))
    with _alone_at(target):
        return _import(mix, source, units, target)


@contextlib.contextmanager
def _alone_at(target: Path) -> Iterator[None]:
    """One writer of a file at a time. The lock lies in a folder of the file's own, which is there as long as it."""
    folder = target.with_name(f".{target.name}.lock")
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held(*store.locate(str(folder.absolute()))))
        except LockedError as error:
            raise store.StoreError(f"{target} is {error}") from None
        except FileNotFoundError:  # the other one has just gone, and taken the folder with it
            raise store.StoreError(f"{target} was in use until now: try again") from None
        try:
            yield
        finally:
            stack.close()
            with contextlib.suppress(OSError):  # somebody else has it by now
                folder.rmdir()


def _import(mix: Mix, source: MixSource, units: Sequence[Unit], target: Path) -> int:
    work, problems, first = AskedUnit(source, mix.seed, mix.web), Counter[str](), dict[str, int]()
    for row in spread(work, [(number, unit, []) for number, unit in enumerate(units)], mix.cpus, mix.unit_rows):
        if row["lot"] is None:
            problems[row["problem"]] += 1
        else:
            first[row["lot"]] = min(row["unit"], first.get(row["lot"], row["unit"]))
    order = sorted(first)
    wanted, start = len(order) if source.take == "all" else source.take, 0
    lines: dict[str, str] = {}
    while len(lines) < wanted and start < len(order):
        drawn, start = order[start : start + wanted - len(lines)], start + wanted - len(lines)
        places = {number: [own for own in drawn if first[own] == number] for number in {first[own] for own in drawn}}
        errands = [(number, units[number], places[number]) for number in sorted(places)]
        for row in spread(work, errands, mix.cpus, mix.unit_rows):
            if row["problem"]:
                problems[row["problem"]] += 1
            else:
                lines[row["lot"]] = _line(row, target)
    if not lines:
        raise SourceError(f"there is no usable prompt in {source.path}: {', '.join(sorted(problems)) or 'no records'}")
    store.write_bytes(str(target), "".join(lines[own] + "\n" for own in sorted(lines)).encode())
    print(f"{len(lines):,} prompts in {target}, of {len(order):,} that there are")
    for reason, count in sorted(problems.items()):
        print(f"{count:,} left out: {reason}")
    return len(lines)


def _line(row: dict[str, Any], target: Path) -> str:
    if target.suffix == ".txt":
        if row["context"]:
            raise SourceError(f"--prompts: {target} cannot name what these prompts are about: take a .jsonl")
        return " ".join(row["prompt"].split())
    value: dict[str, Any] = {"prompt": row["prompt"]}
    for media in row["context"]:
        value.setdefault(_KEYS[media["kind"]], []).append(MediaFiles(target.parent).save(media))
    return json.dumps(value, ensure_ascii=False)

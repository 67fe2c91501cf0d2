"""Checks that a record is one, media included, before any model sees it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from urm_ray.clips import Sampling, decode_media
from urm_ray.media import MediaError
from urm_ray.schema import KINDS, LABELS, TASKS, objects_in
from urm_ray.sources.registry import Rejected, SourceError

MAX_CHARACTERS = 4000
"""Of a prompt that something is made for; text encoders read a few hundred words."""
MAX_READ = 32_000
"""Of a prompt or an answer that a judge reads, some 8,000 tokens."""
_BOTH_ENDS = Sampling(count=2)
_MADE = {"image_generation": "image", "video_generation": "video"}
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f]")
"""Control characters that are no white space."""
_BLANK = {"Zs", "Zl", "Zp", "Cc", "Cf"}


def check_prompt(row: dict[str, Any]) -> Rejected | None:
    """Why a `schema.PROMPT` row cannot be used, or None. Decodes its context: pictures, and both ends of clips."""
    if not row["prompt_id"]:
        return Rejected("", "no prompt_id", str(row["prompt"])[:80].encode(errors="replace").decode())
    if row["task"] not in TASKS:
        return Rejected(row["prompt_id"], "unknown task", str(row["task"]))
    if bad := _bad_words(row) or text_problem(row["prompt"], "prompt", MAX_CHARACTERS):
        return Rejected(row["prompt_id"], *bad)
    return _check_context(row["prompt_id"], row)


def text_problem(text: Any, what: str, limit: int) -> tuple[str, str] | None:
    """Why a text cannot be used, as a reason and its detail: not UTF-8, nothing to be seen in it, more than `limit`
    characters, or control characters. Any language, direction and markup is a text."""
    if text is not None and not isinstance(text, str):
        return f"{what} is not a text", repr(text)[:80]
    if not text or all(unicodedata.category(sign) in _BLANK for sign in text[: limit + 1]):
        return f"empty {what}", ""
    if len(text) > limit:
        return f"{what} too long", f"{len(text)} characters, {limit} at most"
    if found := _CONTROL.search(text):
        return f"control characters in {what}", f"U+{ord(found[0]):04X} at character {found.start() + 1}"
    return None


def _bad_words(row: dict[str, Any]) -> tuple[str, str] | None:
    """The column of a row that files cannot hold, because half a character is in it."""
    for name, value in row.items():
        try:
            if isinstance(value, str):
                value.encode()
        except UnicodeError:
            return "not UTF-8", name
    return None


def _check_context(name: str, row: dict[str, Any]) -> Rejected | None:
    """A question needs what it is about, and whatever is there has to decode."""
    context = row["context"] or []
    if row["task"].endswith("understanding") and not context:
        return _no_context(name, row)
    for number, media in enumerate(context, start=1):
        if problem := _undecodable(media):
            return Rejected(name, f"undecodable {_kind(media)}", f"context {number}: {problem}")
    return None


def _no_context(name: str, row: dict[str, Any]) -> Rejected:
    return Rejected(name, "no context", f"{row['task']} asks about a picture or clip")


def _undecodable(media: dict[str, Any] | None) -> MediaError | None:
    try:
        decode_media(media, _BOTH_ENDS)
    except MediaError as error:
        return error
    return None


def _kind(media: dict[str, Any] | None) -> str:
    return "clip" if media and media["kind"] == "video" else "picture"


def check_preference(row: dict[str, Any]) -> Rejected | None:
    """Why a `schema.PREFERENCE` row cannot be used, or None. Decodes every picture, and both ends of every clip."""
    name = row["preference_id"]
    if bad := check_shape(row) or _check_context(name, row):
        return bad
    for number, candidate in enumerate(row["candidates"], start=1):
        if not row["task"].endswith("understanding") and (problem := _undecodable(candidate["media"])):
            return Rejected(name, f"undecodable {_kind(candidate['media'])}", f"candidate {number}: {problem}")
    return None


def check_shape(row: dict[str, Any]) -> Rejected | None:
    """As `check_preference`, but that no media are looked into: they may be named and not yet read."""
    name, kind, candidates = row["preference_id"], row["kind"], row["candidates"] or []
    if not name:
        return Rejected("", "no preference_id")
    if row["task"] not in TASKS or kind not in KINDS:
        return Rejected(name, "unknown task or kind", f"{row['task']}, {kind}")
    if bad := _bad_words(row) or text_problem(row["prompt"], "prompt", MAX_READ):
        return Rejected(name, *bad)
    if len(candidates) != (2 if kind == "pair" else 1):
        return Rejected(name, "wrong number of candidates", f"{len(candidates)} for a {kind}")
    if kind == "pair" and row["label"] not in LABELS:
        return Rejected(name, "no label", f"{row['label']!r} is not one of {', '.join(LABELS)}")
    if kind == "point":
        scale, score = row["scale"], row["score"]
        ends = (scale["minimum"], scale["maximum"]) if scale else (None, None)
        if score is None or None in ends or not ends[0] <= score <= ends[1] or ends[0] == ends[1]:
            return Rejected(name, "score outside its scale", f"{score} on {scale}")
    understanding = row["task"].endswith("understanding")
    if understanding and not row["context"]:
        return _no_context(name, row)
    for number, candidate in enumerate(candidates, start=1):
        bad = (_check_answer if understanding else _check_made)(row["task"], candidate or {})
        if bad:
            return Rejected(name, bad[0], f"candidate {number}: {bad[1]}")
    return None


def _check_answer(task: str, candidate: dict[str, Any]) -> tuple[str, str] | None:
    text = candidate.get("text")
    if candidate.get("media") is not None or not (text or "").strip():
        return "no answer", f"{task} needs a text, and nothing else"
    return _bad_words({"text": text}) or text_problem(text, "answer", MAX_READ)


def _check_made(task: str, candidate: dict[str, Any]) -> tuple[str, str] | None:
    media = candidate.get("media")
    if media is None:
        return "undecodable picture", "no picture"
    kind = media["kind"] if isinstance(media, dict) else media.kind
    return None if kind == _MADE[task] else ("candidate of another kind", f"{kind}, where {task} makes {_MADE[task]}s")


def need_values(fields: pa.Schema, names: Sequence[str], path: str) -> None:
    """SourceError where a column that is read holds Python objects, which whoever looks at them unpickles."""
    held = objects_in(fields)
    if found := [name for name in names if name in held]:
        raise SourceError(f"{path} is not read: its column {found[0]} holds Python objects, which can run code")

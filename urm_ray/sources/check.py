"""Checks that a record is one, media included, before any model sees it."""

from __future__ import annotations

from typing import Any

from urm_ray.clips import Sampling, decode_media
from urm_ray.media import MediaError
from urm_ray.schema import KINDS, LABELS, TASKS
from urm_ray.sources.registry import Rejected

_BOTH_ENDS = Sampling(count=2)


def check_prompt(row: dict[str, Any]) -> Rejected | None:
    """Why a `schema.PROMPT` row cannot be used, or None. Decodes its context: pictures, and both ends of clips."""
    if row["task"] not in TASKS:
        return Rejected(row["prompt_id"], "unknown task", str(row["task"]))
    if not (row["prompt"] or "").strip():
        return Rejected(row["prompt_id"], "empty prompt")
    return _check_context(row["prompt_id"], row)


def _check_context(name: str, row: dict[str, Any]) -> Rejected | None:
    """A question needs what it is about, and whatever is there has to decode."""
    context = row["context"] or []
    if row["task"].endswith("understanding") and not context:
        return Rejected(name, "no context", f"{row['task']} asks about a picture or clip")
    for number, media in enumerate(context, start=1):
        if problem := _undecodable(media):
            return Rejected(name, f"undecodable {_kind(media)}", f"context {number}: {problem}")
    return None


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
    name, kind, candidates = row["preference_id"], row["kind"], row["candidates"] or []
    if row["task"] not in TASKS or kind not in KINDS:
        return Rejected(name, "unknown task or kind", f"{row['task']}, {kind}")
    if not (row["prompt"] or "").strip():
        return Rejected(name, "empty prompt")
    if len(candidates) != (2 if kind == "pair" else 1):
        return Rejected(name, "wrong number of candidates", f"{len(candidates)} for a {kind}")
    if kind == "pair" and row["label"] not in LABELS:
        return Rejected(name, "no label", f"{row['label']!r} is not one of {', '.join(LABELS)}")
    if kind == "point":
        scale, score = row["scale"], row["score"]
        ends = (scale["minimum"], scale["maximum"]) if scale else (None, None)
        if score is None or None in ends or not ends[0] <= score <= ends[1] or ends[0] == ends[1]:
            return Rejected(name, "score outside its scale", f"{score} on {scale}")
    if bad := _check_context(name, row):
        return bad
    for number, candidate in enumerate(candidates, start=1):
        if row["task"].endswith("understanding"):
            if not candidate or candidate["media"] is not None or not (candidate["text"] or "").strip():
                return Rejected(name, "no answer", f"candidate {number} has no text")
            continue
        media = candidate and candidate["media"]
        if problem := _undecodable(media):
            return Rejected(name, f"undecodable {_kind(media)}", f"candidate {number}: {problem}")
    return None

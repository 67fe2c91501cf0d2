"""Checks that a record is one, media included, before any model sees it."""

from __future__ import annotations

from typing import Any

from urm_ray.clips import Sampling, decode_media
from urm_ray.media import MediaError
from urm_ray.schema import KINDS, LABELS, TASKS
from urm_ray.sources.registry import Rejected

_BOTH_ENDS = Sampling(count=2)


def check_prompt(row: dict[str, Any]) -> Rejected | None:
    """Why a `schema.PROMPT` row cannot be used, or None."""
    if row["task"] not in TASKS:
        return Rejected(row["prompt_id"], "unknown task", str(row["task"]))
    if not (row["prompt"] or "").strip():
        return Rejected(row["prompt_id"], "empty prompt")
    return None


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
    for number, candidate in enumerate(candidates, start=1):
        if candidate and candidate["media"] is None and candidate["text"]:
            continue
        media = candidate and candidate["media"]
        try:
            decode_media(media, _BOTH_ENDS)
        except MediaError as error:
            what = "clip" if media and media["kind"] == "video" else "picture"
            return Rejected(name, f"undecodable {what}", f"candidate {number}: {error}")
    return None

"""Checks that a record is one, media included, before any model sees it."""

from __future__ import annotations

from typing import Any

from urm_ray.media import MediaError, decode_image
from urm_ray.schema import KINDS, LABELS, TASKS
from urm_ray.sources.registry import Rejected


def check_prompt(row: dict[str, Any]) -> Rejected | None:
    """Why a `schema.PROMPT` row cannot be used, or None. Decodes every picture of its context once."""
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
        try:
            decode_image(media)
        except MediaError as error:
            return Rejected(name, "undecodable picture", f"context {number}: {error}")
    return None


def check_preference(row: dict[str, Any]) -> Rejected | None:
    """Why a `schema.PREFERENCE` row cannot be used, or None. Decodes every picture once."""
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
        try:
            decode_image(candidate and candidate["media"])
        except MediaError as error:
            return Rejected(name, "undecodable picture", f"candidate {number}: {error}")
    return None

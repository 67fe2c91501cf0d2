"""What a reader makes of a native record: a row of the schema whose media are named and not yet read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from urm_ray.config_training import Task
from urm_ray.schema import digest

MediaKind = Literal["image", "video"]
Label = Literal["first", "second", "tie"]


@dataclass(frozen=True)
class File:
    """A picture or clip in a file of its own; `path` is relative to the data set's folder."""

    path: str
    kind: MediaKind = "image"


@dataclass(frozen=True)
class Encoded:
    """A picture or clip whose encoded bytes stood in the record itself."""

    data: bytes
    kind: MediaKind = "image"


@dataclass(frozen=True)
class Frames:
    """A clip as pictures in their order, each in a file; `fps` says how many make a second."""

    paths: tuple[str, ...]
    fps: float = 1.0
    kind: MediaKind = "video"


Media = File | Encoded | Frames

Draft = dict[str, Any]
"""The columns of a `schema.PREFERENCE` row, and `key`, which names the record. Where a `schema.MEDIA` value belongs
there is a `Media`."""


def preferred(first: float, second: float) -> Label:
    """Which of two candidates has more of what people value; a tie where they have the same."""
    return "tie" if first == second else "first" if first > second else "second"


def pair(
    source: str,
    key: str,
    task: Task,
    prompt: str,
    candidates: tuple[Media | str, Media | str],
    label: Label,
    context: Sequence[Media] = (),
    dimension: str | None = None,
    rationale: str | None = None,
) -> Draft:
    """Two candidates and which of them people prefer. key: what names the record in its source."""
    row = _draft(source, key, task, prompt, candidates, context, dimension, rationale)
    return row | {"kind": "pair", "label": label}


def point(
    source: str,
    key: str,
    task: Task,
    prompt: str,
    candidate: Media | str,
    score: float,
    scale: dict[str, Any],
    context: Sequence[Media] = (),
    dimension: str | None = None,
    rationale: str | None = None,
) -> Draft:
    """One candidate and its score. scale: a `schema.SCALE` value, such as `urm_ray.judge.scale.Scale.row` gives."""
    row = _draft(source, key, task, prompt, (candidate,), context, dimension, rationale)
    return row | {"kind": "point", "score": float(score), "scale": scale}


def _draft(
    source: str,
    key: str,
    task: Task,
    prompt: str,
    candidates: Sequence[Media | str],
    context: Sequence[Media],
    dimension: str | None,
    rationale: str | None,
) -> Draft:
    shown = [{"media": None, "text": c} if isinstance(c, str) else {"media": c, "text": None} for c in candidates]
    return {
        "key": key,
        "preference_id": digest("preference", source, key, task, len(shown), dimension),
        "task": task,
        "prompt": prompt.strip(),
        "context": list(context),
        "candidates": shown,
        "label": None,
        "score": None,
        "scale": None,
        "dimension": dimension,
        "rationale": rationale,
        "source": source,
    }

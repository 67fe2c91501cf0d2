"""Independent scorers: whatever can rate what a policy makes and is not the judge that built its pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from urm_ray.clips import Clip, Sampling, decode_media
from urm_ray.media import MediaError
from urm_ray.sources.registry import SourceError, load_object

EVERY_FRAME = Sampling()


class Scorer(Protocol):
    """`figures` rates one candidate for one prompt: names to values, None where a figure does not apply.

    The candidate is a picture, a clip as its frames in order, or the text of an answer. `context`, the pictures and
    clips that the prompt is about, is given only where there are any, so that a scorer of generation need not take it.
    """

    def figures(self, prompt: str, candidate: Any, context: Sequence[Any] = ()) -> dict[str, float | None]: ...


def load_scorer(name: str) -> Scorer:
    """A scorer by `module:Class`; SourceError if there is none."""
    if not name:
        raise SourceError("evaluate.scorer is missing: name a scorer that is independent of the judge, as module:Class")
    return load_object(name)()


def figures_of(scorer: Scorer, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of every candidate of a `schema.CANDIDATE_SET` row. What cannot be shown has none."""
    found = []
    for candidate in row["candidates"]:
        text = candidate["text"] if candidate["media"] is None else None
        try:
            about = [[_seen(media) for media in row["context"]]] if row["context"] else []
            shown = _seen(candidate["media"]) if text is None else text
        except MediaError:
            continue
        figures = scorer.figures(row["prompt"], shown, *about)
        found += [{"index": candidate["index"], "name": k, "value": v} for k, v in figures.items() if v is not None]
    return found


def _seen(media: dict[str, Any] | None) -> Any:
    seen = decode_media(media, EVERY_FRAME)
    return seen.frames if isinstance(seen, Clip) else seen

"""Independent scorers: whatever can rate a policy's pictures or clips and is not the judge that built its pairs."""

from __future__ import annotations

from typing import Any, Protocol

from PIL import Image

from urm_ray.clips import Sampling, decode_media
from urm_ray.media import MediaError
from urm_ray.sources.registry import SourceError, load_object

EVERY_FRAME = Sampling()


class Scorer(Protocol):
    """`figures` rates one picture, or one clip as its frames in order, for one prompt: names to values, None where a
    figure does not apply."""

    def figures(self, prompt: str, shown: Image.Image | list[Image.Image]) -> dict[str, float | None]: ...


def load_scorer(name: str) -> Scorer:
    """A scorer by `module:Class`; SourceError if there is none."""
    if not name:
        raise SourceError("evaluate.scorer is missing: name a scorer that is independent of the judge, as module:Class")
    return load_object(name)()


def figures_of(scorer: Scorer, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of every candidate of a `schema.CANDIDATE_SET` row. One without a picture or clip has none."""
    found = []
    for candidate in row["candidates"]:
        try:
            figures = scorer.figures(row["prompt"], decode_media(candidate["media"], EVERY_FRAME))
        except MediaError:
            continue
        found += [{"index": candidate["index"], "name": k, "value": v} for k, v in figures.items() if v is not None]
    return found

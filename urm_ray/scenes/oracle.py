"""Rates what is shown by what is read off the pixels: an independent scorer that shares nothing with the judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PIL import Image

from urm_ray.scenes.clip_oracle import score_clip
from urm_ray.scenes.grammar import parse
from urm_ray.scenes.reading import Found, matched, read


def _holds(relation: str, first: Found, second: Found) -> bool:
    dx, dy = second.x - first.x, second.y - first.y
    return {"left of": dx > 3, "right of": dx < -3, "above": dy > 3, "below": dy < -3}[relation] and (
        abs(dx) >= abs(dy) if relation in ("left of", "right of") else abs(dy) >= abs(dx)
    )


def score(caption: str, picture: Image.Image) -> dict[str, float | None]:
    """How well a picture follows its caption, each in 0..1; None where the caption does not ask.

    `whole` is 1 only if every thing, the count and the relation are right and nothing else is there.
    Raises ValueError when the caption is not of this world.
    """
    scene, found = parse(caption), read(picture)
    seen, wanted = [f.thing for f in found], list(scene.things)
    relation: float | None = None
    if scene.relation:
        firsts = [f for f in found if f.thing == wanted[0]]
        seconds = [f for f in found if f.thing == wanted[1]]
        relation = float(any(_holds(scene.relation, a, b) for a in firsts for b in seconds))
    things_right = Counter(seen) == Counter(wanted)
    return {
        "colour": matched([t.colour for t in seen], [t.colour for t in wanted]),
        "shape": matched([t.shape for t in seen], [t.shape for t in wanted]),
        "count": float(len(seen) == len(wanted)),
        "relation": relation,
        "whole": float(things_right and relation != 0.0),
    }


class Oracle:
    """The oracle as an independent scorer (`urm_ray.evaluation.scorer.Scorer`)."""

    def figures(self, prompt: str, shown: Image.Image | Sequence[Image.Image]) -> dict[str, float | None]:
        return score(prompt, shown) if isinstance(shown, Image.Image) else score_clip(prompt, shown)

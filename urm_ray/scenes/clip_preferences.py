"""Human judgements of clips of the embedded world: of two clips, on VideoFeedback's scale, and in LiFT's grades.

Dimensions, scales and forms are those of the data sets that the paper trains on (paper III-B, Table II).
"""

from __future__ import annotations

import random
from collections.abc import Container
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image

from urm_ray.clips import encode_clip
from urm_ray.scenes.film import CLIP_FAULTS, FPS, film
from urm_ray.scenes.grammar import held_out
from urm_ray.scenes.motion import ClipDifferences, MovingScene, captions, differences, misread_clip, sample_scene
from urm_ray.scenes.preferences import FLIPPED, RATER_NOISE, TIE_WITHIN, Scenes, quality
from urm_ray.schema import digest, seed_of
from urm_ray.sources.registry import Part

SCALE = {"name": "1-4", "minimum": 1, "maximum": 4}
DIMENSIONS = (
    "visual quality",
    "temporal consistency",
    "dynamic degree",
    "text-to-video alignment",
    "factual consistency",
)
"""Of VideoFeedback, each on SCALE."""
GRADE_SCALE = {"name": "bad-normal-good", "minimum": 1, "maximum": 3}
GRADES = {3: "Good", 2: "Normal", 1: "Bad"}
ASPECTS = ("semantic consistency", "fidelity", "motion")
"""Of LiFT, each in a grade with a reason."""
POINT_SHARES = {"overall": 0.4, **dict.fromkeys(DIMENSIONS, 0.08), **dict.fromkeys(ASPECTS, 0.2 / 3)}
"""How many of the point rows are about each dimension."""
_DEGREES = ("", "slightly", "clearly", "strongly")
_PICTURE_FAULTS = {"blur": "blurred", "noise": "noisy", "broken": "broken"}
_TIME_FAULTS = {"flicker": "flickers", "jump": "jumps"}
_UNREAL = ("broken", "jump")  # no real thing is or does so


@dataclass(frozen=True)
class View:
    """What is in a clip: the scene as drawn, how it differs from the asked one, and its fault of quality, if any."""

    drawn: MovingScene
    wrong: ClipDifferences
    fault: str = ""
    strength: int = 0

    @property
    def quality(self) -> float:
        """How good people find the clip, in 0..1."""
        return quality(self.wrong.total, self.strength)

    def strength_of(self, faults: Container[str]) -> int:
        return self.strength if self.fault in faults else 0


def candidate(asked: MovingScene, rng: random.Random) -> tuple[list[Image.Image], View]:
    """The frames of a clip for a caption, with faults of alignment and quality in graded strength."""
    drawn = asked
    for _ in range(rng.choices((0, 1, 2, 3), (0.45, 0.35, 0.14, 0.06))[0]):
        drawn = misread_clip(drawn, rng)
    fault, strength = (rng.choice(CLIP_FAULTS), rng.choice((1, 2, 3))) if rng.random() < 0.5 else ("", 0)
    return film(drawn, rng, fault or None, strength), View(drawn, differences(asked, drawn), fault, strength)


def score(view: View, dimension: str) -> float:
    """What the consensus gives a clip in a dimension, on SCALE; ValueError for one that is not of VideoFeedback."""
    match dimension:
        case "overall":
            return 1 + 3 * view.quality
        case "visual quality":
            return 4 - view.strength_of(_PICTURE_FAULTS)
        case "temporal consistency":
            return 4 - view.strength_of(_TIME_FAULTS)
        case "dynamic degree":
            movers = view.drawn.movers
            return 1 + 3 * sum(mover.motion != "staying still" for mover in movers) / len(movers)
        case "text-to-video alignment":
            return max(1, 4 - view.wrong.total)
        case "factual consistency":
            return 4 - view.strength_of(_UNREAL)
    raise ValueError(f"no such dimension: {dimension!r}")


def grade(view: View, aspect: str) -> tuple[int, str]:
    """(grade, reason) for an aspect of LiFT: nothing wrong is good, one thing or a slight fault normal, more is bad."""
    complaints = _complaints(view, aspect)
    value = 3 - min(2, sum(weight for weight, _ in complaints))
    words = " and ".join(words for _, words in complaints)
    return value, f"{words[:1].upper()}{words[1:]}." if words else _PRAISE[aspect]


_PRAISE = {
    "semantic consistency": "Everything is as the caption says.",
    "fidelity": "The picture is clean.",
    "motion": "Everything moves as asked and without a break.",
}


def _complaints(view: View, aspect: str) -> list[tuple[int, str]]:
    """What there is to complain of, each with its weight."""
    wrong, degree = view.wrong, _DEGREES[view.strength]
    match aspect:
        case "semantic consistency":
            counts = [(wrong.colours, "colour"), (wrong.shapes, "shape"), (wrong.motions, "motion")]
            return [(n, _wrong(n, noun)) for n, noun in [*counts, (wrong.count, "number of things")] if n]
        case "fidelity":
            bad = view.fault in _PICTURE_FAULTS
            return [(view.strength, f"the picture is {degree} {_PICTURE_FAULTS[view.fault]}")] if bad else []
        case "motion":
            complaints = [(wrong.motions, _wrong(wrong.motions, "motion"))] if wrong.motions else []
            if view.fault in _TIME_FAULTS:
                complaints.append((view.strength, f"the clip {_TIME_FAULTS[view.fault]} {degree}"))
            return complaints
    raise ValueError(f"no such aspect: {aspect!r}")


def _wrong(number: int, noun: str) -> str:
    if noun.startswith("number"):
        return f"the {noun} is wrong"
    return f"a {noun} is wrong" if number == 1 else f"{number} {noun}s are wrong"


@cache
def _ordered_captions(split_held_out: bool, seed: int) -> list[str]:
    return captions(split_held_out, key=lambda caption: digest(seed, caption))


class ClipScenes(Scenes):
    """The clips of the embedded world as a source of preferences and prompts; labels as in `Scenes`."""

    task = "video_generation"

    def _captions(self, part: Part) -> list[str]:
        return _ordered_captions(part.startswith("heldout"), self.seed)

    def _preference(self, part: Part, number: int) -> dict[str, Any]:
        rng = random.Random(seed_of("clip preference", self.seed, part, number))
        consensus = part.startswith("heldout")
        scene = sample_scene(rng)
        while held_out(scene.caption()) != consensus:
            scene = sample_scene(rng)
        pair = part.endswith("pairs")
        shown = [candidate(scene, rng) for _ in range(2 if pair else 1)]
        row: dict[str, Any] = {
            "preference_id": digest("clips", self.seed, part, number),
            "task": self.task,
            "kind": "pair" if pair else "point",
            "prompt": scene.caption(),
            "context": [],
            "candidates": [{"media": encode_clip(frames, FPS), "text": None} for frames, _ in shown],
            "label": None,
            "score": None,
            "scale": None,
            "dimension": None,
            "rationale": None,
            "source": "scenes",
        }
        views = [view for _, view in shown]
        return row | (_pair_label(views, consensus, rng) if pair else _point_label(views[0], consensus, rng))


def _pair_label(views: list[View], consensus: bool, rng: random.Random) -> dict[str, Any]:
    difference = views[0].quality - views[1].quality
    if not consensus and rng.random() < FLIPPED:
        difference = -difference
    return {"label": "tie" if abs(difference) <= TIE_WITHIN else "first" if difference > 0 else "second"}


def _point_label(view: View, consensus: bool, rng: random.Random) -> dict[str, Any]:
    dimension = rng.choices(list(POINT_SHARES), list(POINT_SHARES.values()))[0]
    if dimension in ASPECTS:
        value, reason = grade(view, dimension)
        if not consensus and rng.random() < FLIPPED:
            value, reason = 3, _PRAISE[dimension]  # overlooked
        rationale = f"{GRADES[value]}. {reason}"
        return {"score": float(value), "scale": GRADE_SCALE, "dimension": dimension, "rationale": rationale}
    rating = score(view, dimension)
    if not consensus:
        # One rater's noise is as large a part of this scale as of the one for pictures.
        rating = float(min(4, max(1, round(rating + rng.gauss(0, RATER_NOISE * 3 / 4)))))
    return {"score": rating, "scale": SCALE, "dimension": dimension}

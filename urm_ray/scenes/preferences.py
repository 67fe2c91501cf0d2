"""Human judgements of the embedded world: people see the faults, mostly agree, and sometimes slip."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from PIL import Image

from urm_ray.config_training import Task
from urm_ray.media import encode_image
from urm_ray.scenes.grammar import Scene, captions, held_out, misread, sample_scene, wrongness
from urm_ray.scenes.render import QUALITY_FAULTS, render, spoil
from urm_ray.schema import digest, seed_of
from urm_ray.sources.registry import Part, Rejected, SourceError

SCALE = {"name": "1-5", "minimum": 1, "maximum": 5}
FLIPPED = 0.05
"""Share of training pairs whose label is the wrong way round."""
RATER_NOISE = 0.35
"""Standard deviation of one rater's score on 1-5, before rounding."""
TIE_WITHIN = 0.11
"""People call two pictures equally good when their qualities differ by no more than this."""
WRONG_COST = 0.22
FAULT_COST = (0.0, 0.08, 0.18, 0.30)


def quality(wrong: int, strength: int) -> float:
    """How good people find a picture, in 0..1, from its wrong attributes and the strength of its fault."""
    return max(0.02, 1.0 - WRONG_COST * min(wrong, 3) - FAULT_COST[strength])


def candidate(asked: Scene, rng: random.Random) -> tuple[Image.Image, float]:
    """A picture for a caption, with faults of alignment and quality in graded strength, and how good people find it."""
    drawn = asked
    for _ in range(rng.choices((0, 1, 2, 3), (0.45, 0.35, 0.14, 0.06))[0]):
        drawn = misread(drawn, rng)
    picture, strength = render(drawn, rng), 0
    if rng.random() < 0.5:
        strength = rng.choice((1, 2, 3))
        picture = spoil(picture, rng.choice(QUALITY_FAULTS), strength, rng)
    return picture, quality(wrongness(asked, drawn), strength)


class Scenes:
    """The pictures of the embedded world as a source of preferences and prompts.

    Training labels are one rater's, with slips. Held-out labels are the consensus: no slips, scores not rounded.
    Captions of held-out rows and prompts never occur in the training ones.
    """

    task: Task = "image_generation"

    def __init__(self, path: str | None, seed: int, task: Task, wanted: dict[str, int]) -> None:
        if task != self.task:
            raise SourceError(f"{type(self).__name__} has no rows of {task}")
        self.seed, self.wanted = seed, wanted

    def size(self, part: Part) -> int:
        if part.endswith("prompts"):
            return min(self.wanted.get(part, 0), len(self._captions(part)))
        return self.wanted.get(part, 0)

    def read(self, part: Part, start: int, stop: int) -> Iterator[dict[str, Any] | Rejected]:
        if part.endswith("prompts"):
            for caption in self._captions(part)[start:stop]:
                yield {
                    "prompt_id": digest("prompt", caption),
                    "task": self.task,
                    "prompt": caption,
                    "context": [],
                    "source": "scenes",
                }
            return
        for number in range(start, stop):
            yield self._preference(part, number)

    def _captions(self, part: Part) -> list[str]:
        return captions(part.startswith("heldout"), key=lambda caption: digest(self.seed, caption))

    def _preference(self, part: Part, number: int) -> dict[str, Any]:
        rng = random.Random(seed_of("preference", self.seed, part, number))
        consensus = part.startswith("heldout")
        scene = sample_scene(rng)
        while held_out(scene.caption()) != consensus:
            scene = sample_scene(rng)
        pair = part.endswith("pairs")
        shown = [candidate(scene, rng) for _ in range(2 if pair else 1)]
        row: dict[str, Any] = {
            "preference_id": digest("scenes", self.seed, part, number),
            "task": self.task,
            "kind": "pair" if pair else "point",
            "prompt": scene.caption(),
            "context": [],
            "candidates": [{"media": encode_image(picture), "text": None} for picture, _ in shown],
            "label": None,
            "score": None,
            "scale": None,
            "dimension": None,
            "rationale": None,
            "source": "scenes",
        }
        if pair:
            difference = shown[0][1] - shown[1][1]
            if not consensus and rng.random() < FLIPPED:
                difference = -difference
            return row | {"label": "tie" if abs(difference) <= TIE_WITHIN else "first" if difference > 0 else "second"}
        score = 1 + 4 * shown[0][1]
        if not consensus:
            score = float(min(5, max(1, round(score + rng.gauss(0, RATER_NOISE)))))
        return row | {"score": score, "scale": SCALE, "dimension": "overall"}

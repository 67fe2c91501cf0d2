"""The captioned pictures that the tiny base models are trained on: like a crawl of the web, partly wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator

from PIL import Image

from urm_ray.scenes.grammar import misread, sample_scene
from urm_ray.scenes.render import QUALITY_FAULTS, render, spoil


def captioned(
    seed: int, count: int, wrong: float, spoiled: float, relation_share: float = 0.55
) -> Iterator[tuple[Image.Image, str]]:
    """`count` pairs (picture, caption); of which `wrong` captions and `spoiled` pictures, as shares."""
    rng = random.Random(seed)
    for _ in range(count):
        scene = sample_scene(rng, relation_share)
        drawn = misread(scene, rng) if rng.random() < wrong else scene
        picture = render(drawn, rng)
        if rng.random() < spoiled:
            picture = spoil(picture, rng.choice(QUALITY_FAULTS), rng.choice((1, 1, 2, 3)), rng)
        yield picture, scene.caption()

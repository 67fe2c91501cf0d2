import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.grammar import SHAPES, all_scenes
from urm_ray.scenes.render import QUALITY_FAULTS, SIZE, outline, place, render, spoil

SCENES = st.sampled_from(all_scenes())


def difference(one, two) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(two, float)).mean())


@given(SCENES, st.integers(0, 1000))
def test_a_picture_depends_on_the_scene_and_the_dice_alone(scene, seed):
    one, two = (render(scene, random.Random(seed)) for _ in range(2))
    assert one.size == (SIZE, SIZE)
    assert one.mode == "RGB"
    assert one.tobytes() == two.tobytes()
    assert render(scene, random.Random(seed + 1)).tobytes() != one.tobytes()


@given(SCENES, st.integers(0, 1000))
def test_things_lie_inside_the_picture_apart_from_each_other_and_as_the_relation_says(scene, seed):
    places = place(scene, random.Random(seed))
    assert len(places) == len(scene.things)
    for i, (x, y, r) in enumerate(places):
        assert r <= x <= SIZE - r
        assert r <= y <= SIZE - r
        for ox, oy, other in places[:i]:
            assert max(abs(x - ox), abs(y - oy)) > r + other
    if scene.relation:
        (x, y, _), (ox, oy, _) = places
        across, down = ox - x, oy - y
        wanted = {"left of": across, "right of": -across, "above": down, "below": -down}[scene.relation]
        assert wanted > 10


@pytest.mark.parametrize("shape", SHAPES)
def test_an_outline_lies_around_its_centre(shape):
    corners = np.array(outline(shape, 10, 20, 5))
    assert np.abs(corners - [10, 20]).max() <= 5 + 1e-9
    assert np.abs(corners - [10, 20]).max() > 4


@pytest.mark.parametrize("fault", QUALITY_FAULTS)
def test_a_stronger_fault_changes_more(fault):
    # Averaged over pictures: a single break may hit a thin part.
    changes = []
    for strength in (1, 2, 3):
        rng = random.Random(0)
        pictures = [render(scene, rng) for scene in all_scenes()[::40]]
        changes.append(
            np.mean([difference(p, spoil(p, fault, strength, random.Random(n))) for n, p in enumerate(pictures)])
        )
    assert 0 < changes[0] * 1.2 < changes[1] < changes[2] / 1.2


def test_what_is_no_fault_is_refused():
    picture = render(all_scenes()[0], random.Random(0))
    with pytest.raises(ValueError, match="strength is 1, 2 or 3"):
        spoil(picture, "blur", 0, random.Random(0))
    with pytest.raises(ValueError, match="no such fault: 'flicker'"):
        spoil(picture, "flicker", 1, random.Random(0))
    with pytest.raises(ValueError, match="no such shape"):
        outline("star", 0, 0, 1)

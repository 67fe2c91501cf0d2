import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.film import CLIP_FAULTS, FRAMES, disturb, film, spoil_clip, trace
from urm_ray.scenes.motion import all_scenes, parse
from urm_ray.scenes.render import SIZE

SCENES = st.sampled_from(all_scenes())
SEEDS = st.integers(0, 1000)
DIRECTIONS = {"staying still": (0, 0), "moving left": (-1, 0), "moving right": (1, 0)} | {
    "moving up": (0, -1),
    "moving down": (0, 1),
}


def change(one, two) -> float:
    return float(
        np.mean([np.abs(np.asarray(a, float) - np.asarray(b, float)).mean() for a, b in zip(one, two, strict=False)])
    )


@given(SCENES, SEEDS, st.sampled_from([None, *CLIP_FAULTS]))
def test_a_clip_depends_on_the_scene_and_the_dice_alone(scene, seed, fault):
    one, two = (film(scene, random.Random(seed), fault, 2 if fault else 0) for _ in range(2))
    assert len(one) == FRAMES == 8
    assert {(frame.mode, frame.size) for frame in one} == {("RGB", (SIZE, SIZE))}
    assert [f.tobytes() for f in one] == [f.tobytes() for f in two]
    assert [f.tobytes() for f in film(scene, random.Random(seed + 1), fault, 2 if fault else 0)] != [
        f.tobytes() for f in one
    ]


@given(SCENES, SEEDS, st.integers(1, 20))
def test_things_move_as_they_should_inside_the_picture_and_apart(scene, seed, frames):
    places = trace(scene, random.Random(seed), frames)
    assert len(places) == frames
    for now in places:
        for x, y, r in now:
            assert r <= x <= SIZE - r
            assert r <= y <= SIZE - r
        for (x, y, r), (ox, oy, other) in itertools.combinations(now, 2):
            assert max(abs(x - ox), abs(y - oy)) > r + other
    if frames == 1:
        return
    for i, mover in enumerate(scene.movers):
        path = np.array([now[i][:2] for now in places])
        whole, steps = path[-1] - path[0], np.diff(path, axis=0)
        assert np.allclose(steps, steps[0])
        assert np.sign(np.round(whole, 6)).tolist() == list(DIRECTIONS[mover.motion])
        assert np.abs(whole).max() > 6 or mover.motion == "staying still"


@given(SCENES, SEEDS)
def test_nothing_but_the_places_changes_in_a_clean_clip(scene, seed):
    frames = film(scene, random.Random(seed))
    backgrounds = {tuple(np.median(np.asarray(f).reshape(-1, 3), axis=0)) for f in frames}
    assert len(backgrounds) == 1
    if all(mover.motion == "staying still" for mover in scene.movers):
        assert len({f.tobytes() for f in frames}) == 1
    else:
        assert len({f.tobytes() for f in frames}) == len(frames)


@pytest.mark.parametrize("fault", CLIP_FAULTS)
def test_a_stronger_fault_changes_more(fault):
    rng = random.Random(0)
    scenes = rng.sample(all_scenes(), 40)
    clean = [film(scene, random.Random(n)) for n, scene in enumerate(scenes)]
    changes = []
    for strength in (1, 2, 3):
        if fault == "jump":
            spoiled = [film(scene, random.Random(n), fault, strength) for n, scene in enumerate(scenes)]
            # The dice fall otherwise than in the clean clip; a clip that jumps changes more from frame to frame.
            changes.append(np.mean([change(clip, clip[1:]) for clip in spoiled]))
        else:
            spoiled = [spoil_clip(clip, fault, strength, random.Random(n)) for n, clip in enumerate(clean)]
            changes.append(np.mean([change(a, b) for a, b in zip(clean, spoiled, strict=True)]))
    least = np.mean([change(clip, clip[1:]) for clip in clean]) if fault == "jump" else 0.0
    assert least < changes[0]
    assert changes[0] * 1.1 < changes[1]
    assert changes[1] * 1.1 < changes[2]


@given(SCENES, SEEDS, st.integers(1, 3), st.integers(1, 12))
def test_a_jump_moves_things_to_other_places_inside_and_apart(scene, seed, strength, frames):
    rng = random.Random(seed)
    places = trace(scene, rng, frames)
    jumped = disturb(places, strength, rng)
    moved = [a != b for a, b in zip(places, jumped, strict=True)]
    still = all(mover.motion == "staying still" for mover in scene.movers)
    assert any(moved) or frames < (3 if still else 4)
    assert sum(moved) <= 2 * strength
    for now in jumped:
        for (x, y, r), (ox, oy, other) in itertools.combinations(now, 2):
            assert max(abs(x - ox), abs(y - oy)) > r + other
        assert all(r <= x <= SIZE - r and r <= y <= SIZE - r for x, y, r in now)


def test_flicker_changes_the_light_from_frame_to_frame_and_nothing_else():
    frames = film(parse("a red circle staying still"), random.Random(3))
    for seed in range(20):
        lit = spoil_clip(frames, "flicker", 1, random.Random(seed))
        light = np.array([np.median(np.asarray(f).reshape(-1, 3), axis=0) for f in lit])
        steps = np.diff(light, axis=0)
        assert (np.abs(steps).max(1) > 5).all()
        assert (np.sign(steps).sum(1)[1:] != np.sign(steps).sum(1)[:-1]).all()


def test_what_is_no_fault_is_refused():
    scene = all_scenes()[0]
    for fault in CLIP_FAULTS:
        for strength in (0, 4):
            with pytest.raises(ValueError, match="strength is 1, 2 or 3"):
                film(scene, random.Random(0), fault, strength)
    with pytest.raises(ValueError, match="no such fault: 'tear'"):
        film(scene, random.Random(0), "tear", 1)

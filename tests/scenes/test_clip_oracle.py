import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from urm_ray.clips import Sampling, decode_clip, encode_clip
from urm_ray.scenes.clip_oracle import follow, score_clip
from urm_ray.scenes.film import FPS, film
from urm_ray.scenes.grammar import Scene, Thing, held_out
from urm_ray.scenes.motion import all_scenes, misread_clip, parse
from urm_ray.scenes.oracle import Oracle, score
from urm_ray.scenes.render import BACKGROUND, render

HELD_OUT = [scene for scene in all_scenes() if held_out(scene.caption())]


def mp4(frames) -> list[Image.Image]:
    return decode_clip(encode_clip(frames, FPS), Sampling()).frames


@pytest.fixture(scope="module")
def clean() -> list:
    """Held-out scenes with clean clips of them that have been mp4 files; single things as often as pairs."""
    rng = random.Random(20)
    single = [scene for scene in HELD_OUT if len(scene.movers) == 1]
    return [(scene, mp4(film(scene, rng))) for scene in rng.choices(HELD_OUT, k=100) + rng.choices(single, k=100)]


def test_clean_clips_of_held_out_captions_are_whole_after_an_mp4_file(clean):
    scores = [score_clip(scene.caption(), frames) for scene, frames in clean]
    assert sum(s["whole"] == 1 for s in scores) / len(scores) >= 0.98
    for name in ("colour", "shape", "count", "motion", "consistency"):
        assert np.mean([s[name] for s in scores]) >= 0.98, name
    assert all({s[n] for n in ("colour", "shape", "count", "motion")} == {1.0} for s in scores if s["whole"] == 1)


def test_misread_clips_are_not_whole():
    rng = random.Random(21)
    for scene in rng.choices(HELD_OUT, k=50):
        found = score_clip(scene.caption(), film(misread_clip(scene, rng), rng))
        assert found["whole"] == 0
        assert min(found[name] for name in ("colour", "shape", "count", "motion")) < 1


@pytest.mark.parametrize(
    ("caption", "drawn", "wrong"),
    [
        ("a red circle moving left", "a blue circle moving left", {"colour": 0}),
        ("a red circle moving left", "a red square moving left", {"shape": 0}),
        ("a red circle moving left", "a red circle moving right", {"motion": 0}),
        ("a red circle moving left", "a red circle moving down", {"motion": 0}),
        ("a red circle moving left", "a red circle staying still", {"motion": 0}),
        ("a red circle staying still", "a red circle moving up", {"motion": 0}),
        (
            "two red circles moving left",
            "a red circle moving left",
            {"count": 0, "colour": 0.5, "shape": 0.5, "motion": 0.5},
        ),
        (
            "a red circle moving up and a blue square moving left",
            "a red circle moving left and a blue square moving up",
            {"motion": 0},
        ),
        (
            "a red circle moving up and a blue square moving left",
            "a red circle moving up and a blue square moving down",
            {"motion": 0.5},
        ),
    ],
)
def test_each_figure_tells_its_own_mistake(caption, drawn, wrong):
    for seed in range(2):
        found = score_clip(caption, film(parse(drawn), random.Random(seed)))
        right = dict.fromkeys(("colour", "shape", "count", "motion", "consistency"), 1.0)
        assert found == right | wrong | {"whole": 0.0}


@pytest.mark.parametrize("fault", ["flicker", "jump"])
def test_faults_in_time_cost_consistency_and_nothing_else(fault, clean):
    rng = random.Random(22)
    scenes = rng.choices(HELD_OUT, k=24)
    means = []
    for strength in (1, 2, 3):
        scores = [score_clip(scene.caption(), film(scene, rng, fault, strength)) for scene in scenes]
        assert sum(s["whole"] == 1 for s in scores) / len(scores) > 0.95
        assert all(s["consistency"] < 1 for s in scores)
        means.append(np.mean([s["consistency"] for s in scores]))
    assert means[0] >= means[1] >= means[2]
    assert means[0] < 0.8
    assert fault == "flicker" or means[0] > means[1] + 0.1 > means[2] + 0.2


def test_larger_and_longer_clips_are_read_like_small_ones():
    rng = random.Random(23)
    right = 0
    for scene in rng.choices(HELD_OUT, k=12):
        large = [f.resize((96, 96), Image.Resampling.BICUBIC) for f in film(scene, rng, frames=16)]
        found = score_clip(scene.caption(), large)
        right += found["whole"] == 1 and found["consistency"] > 0.9
    assert right >= 11


def test_things_are_followed_and_not_mixed_up():
    for seed in range(5):
        tracks = follow(film(parse("a red circle moving right and a blue cross staying still"), random.Random(seed)))
        found = Counter((track.thing.colour, track.thing.shape, track.motion) for track in tracks)
        assert found == {("red", "circle", "moving right"): 1, ("blue", "cross", "staying still"): 1}
        assert all(track.steady == frozenset(range(8)) for track in tracks)


def test_an_aslant_motion_is_none_of_the_captions():
    frames = []
    for i in range(8):
        frame = Image.new("RGB", (32, 32), BACKGROUND)
        frame.paste((220, 40, 40), (2 + i, 2 + i, 14 + i, 14 + i))
        frames.append(frame)
    (track,) = follow(frames)
    assert track.motion is None
    assert score_clip("a red square moving right", frames)["motion"] == 0


def test_a_thing_that_changes_is_inconsistent():
    red, blue = (film(parse(f"a {c} circle staying still"), random.Random(1)) for c in ("red", "blue"))
    empty = Image.new("RGB", (32, 32), BACKGROUND)
    changed = score_clip("a red circle staying still", [*red[:5], *blue[5:]])
    assert changed["whole"] == 1
    assert changed["consistency"] == pytest.approx(4 / 7)
    gone = score_clip("a red circle staying still", [*red[:3], empty, *red[4:]])
    assert gone["consistency"] == pytest.approx(5 / 7)


def test_empty_clips_and_noise_are_never_right():
    dice = np.random.default_rng(0)
    noise = [Image.fromarray(p) for p in dice.integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)]
    for scene in HELD_OUT[::700]:
        for frames in ([Image.new("RGB", (32, 32), BACKGROUND)] * 8, noise):
            found = score_clip(scene.caption(), frames)
            assert found["whole"] == found["consistency"] == 0


def test_one_frame_is_a_still_clip_and_no_frames_are_none():
    frames = film(parse("a red circle staying still"), random.Random(0), frames=1)
    found = score_clip("a red circle staying still", frames)
    assert (found["whole"], found["consistency"]) == (1, None)
    with pytest.raises(ValueError, match="without frames"):
        score_clip("a red circle staying still", [])


def test_one_oracle_serves_pictures_and_clips(clean):
    scene, frames = clean[0]
    assert Oracle().figures(scene.caption(), frames) == score_clip(scene.caption(), frames)
    picture = render(Scene((Thing("red", "circle"),)), random.Random(0))
    assert Oracle().figures("a red circle", picture) == score("a red circle", picture)
    with pytest.raises(ValueError, match="not a caption of a clip"):
        Oracle().figures("a red circle", frames)

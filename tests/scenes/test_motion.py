import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.grammar import Thing, held_out
from urm_ray.scenes.motion import (
    MOTIONS,
    Mover,
    MovingScene,
    all_scenes,
    captions,
    differences,
    misread_clip,
    parse,
    sample_scene,
)

SEEDS = st.integers(0, 10_000).map(random.Random)
SCENES = st.sampled_from(all_scenes())


def test_there_are_thousands_of_captions_and_no_two_scenes_share_one():
    texts = [scene.caption() for scene in all_scenes()]
    assert len(texts) >= 2000
    assert len(set(texts)) == len(texts) == len(set(all_scenes()))


def test_every_caption_is_read_back_as_its_scene():
    for scene in all_scenes():
        assert parse(scene.caption()) == scene


@pytest.mark.parametrize(
    ("movers", "caption"),
    [
        ([("red", "circle", "moving left")], "a red circle moving left"),
        ([("black", "cross", "staying still")] * 2, "two black crosses staying still"),
        (
            [("blue", "square", "staying still"), ("red", "circle", "moving up")],
            "a red circle moving up and a blue square staying still",
        ),
        (
            [("red", "circle", "moving right"), ("red", "circle", "moving left")],
            "a red circle moving left and a red circle moving right",
        ),
    ],
)
def test_captions_are_english_and_do_not_depend_on_the_order(movers, caption):
    scene = MovingScene(tuple(Mover(Thing(colour, shape), motion) for colour, shape, motion in movers))
    assert scene.caption() == caption
    assert MovingScene(scene.movers[::-1]) == scene


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a red circle",
        "a red circle moving",
        "three red circles moving left",
        "a blue square staying still and a red circle moving up",
        "a red circle moving left and a red circle moving left",
    ],
)
def test_what_is_not_of_this_world_is_refused(caption):
    with pytest.raises(ValueError, match="not a caption of a clip"):
        parse(caption)


def test_scenes_that_cannot_be_are_refused():
    thing = Thing("red", "circle")
    with pytest.raises(ValueError, match="a motion is one of"):
        Mover(thing, "moving away")
    for count in (0, 3):
        with pytest.raises(ValueError, match="holds 1 or 2 things"):
            MovingScene((Mover(thing, "moving up"),) * count)


def test_captions_are_split_by_their_text_and_mixed():
    kept, trained = (captions(part, key=lambda text: text[::-1]) for part in (True, False))
    assert sorted(kept + trained) == sorted(scene.caption() for scene in all_scenes())
    assert all(map(held_out, kept))
    assert not any(map(held_out, trained))
    assert 0.36 < len(kept) / len(all_scenes()) < 0.44
    for part in (kept, trained):
        assert [len(parse(caption).movers) for caption in part[:60]] == [1, 2] * 30
        assert part != captions(part is kept, key=lambda text: text)


def test_every_kind_of_scene_is_sampled():
    rng = random.Random(0)
    scenes = [sample_scene(rng) for _ in range(2000)]
    assert all(parse(scene.caption()) == scene for scene in scenes[:200])
    assert 700 < sum(len(s.movers) == 1 for s in scenes) < 900
    assert 130 < sum(len(s.movers) == 2 and len(set(s.movers)) == 1 for s in scenes) < 270
    motions = Counter(mover.motion for scene in scenes for mover in scene.movers)
    assert set(motions) == set(MOTIONS)
    assert min(motions.values()) > 0.8 * max(motions.values())


def changes(one: MovingScene, two: MovingScene) -> Counter[str]:
    """What differs between scenes that share all movers but one."""
    if len(one.movers) != len(two.movers):
        return Counter(["count"])
    ((a, b),) = zip(
        (Counter(one.movers) - Counter(two.movers)).elements(),
        (Counter(two.movers) - Counter(one.movers)).elements(),
        strict=True,
    )
    parts = {"colour": (a.thing.colour, b.thing.colour), "shape": (a.thing.shape, b.thing.shape)}
    return Counter([name for name, (x, y) in (parts | {"motion": (a.motion, b.motion)}).items() if x != y])


@given(SCENES, SEEDS)
def test_exactly_one_thing_is_misread_and_there_is_a_caption_for_it(scene, rng):
    for _ in range(10):
        wrong = misread_clip(scene, rng)
        assert parse(wrong.caption()) == wrong
        assert changes(scene, wrong).total() == 1
        assert differences(scene, wrong).total == 1


def test_every_way_of_misreading_happens():
    rng = random.Random(0)
    scene = parse("a red circle moving up and a blue square staying still")
    kinds = sum((changes(scene, misread_clip(scene, rng)) for _ in range(500)), Counter())
    assert set(kinds) == {"colour", "shape", "motion", "count"}
    assert min(kinds.values()) > 50


@pytest.mark.parametrize(
    ("asked", "drawn", "wrong"),
    [
        ("a red circle moving left", "a red circle moving left", {}),
        ("a red circle moving left", "a red circle staying still", {"motions": 1}),
        ("a red circle moving left", "a blue square moving right", {"colours": 1, "shapes": 1, "motions": 1}),
        ("a red circle moving left", "two red circles moving left", {"count": 1}),
        ("a red circle moving left", "a red circle moving left and a blue cross moving up", {"count": 1}),
        (
            "a red circle moving up and a blue square moving left",
            "a red circle moving left and a blue square moving up",
            {"motions": 2},
        ),
        (
            "a red circle moving left and a red square moving left",
            "a red square moving left and a blue circle moving left",
            {"colours": 1},
        ),
    ],
)
def test_differences_count_what_is_wrong_with_the_best_matching(asked, drawn, wrong):
    found = differences(parse(asked), parse(drawn))
    assert {name: n for name, n in vars(found).items() if n} == wrong
    assert found.total == sum(wrong.values())


@given(SCENES, SCENES)
def test_differences_do_not_depend_on_which_is_asked(one, two):
    assert differences(one, two) == differences(two, one)
    assert (differences(one, two).total == 0) == (one == two)

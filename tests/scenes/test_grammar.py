import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.grammar import (
    COLOURS,
    OPPOSITE,
    RELATIONS,
    SHAPES,
    Scene,
    Thing,
    all_scenes,
    held_out,
    misread,
    parse,
    sample_scene,
    wrongness,
)

SEEDS = st.integers(0, 10_000).map(random.Random)
SCENES = st.sampled_from(all_scenes())


def same(one: Scene, two: Scene) -> bool:
    """Whether both say the same: "a left of b" is "b right of a"; without a relation, order says nothing."""
    if one.relation is None or two.relation is None:
        return one.relation == two.relation and Counter(one.things) == Counter(two.things)
    return two in (one, Scene(one.things[::-1], OPPOSITE[one.relation]))


def test_there_are_thousands_of_captions_and_no_two_scenes_share_one():
    captions = [scene.caption() for scene in all_scenes()]
    assert len(captions) >= 2000
    assert len(set(captions)) == len(captions)


def test_every_caption_is_read_back_as_its_scene():
    for scene in all_scenes():
        assert parse(scene.caption()) == scene


@pytest.mark.parametrize(
    "caption", ["", "a cat", "red circle", "a red circle left", "four red circles", "a red circle and a red circle"]
)
def test_what_is_not_of_this_world_is_refused(caption):
    with pytest.raises(ValueError, match="not a caption of the embedded world"):
        parse(caption)


def test_spaces_do_not_matter():
    assert parse("  a red   circle\n") == Scene((Thing("red", "circle"),))


@pytest.mark.parametrize(
    ("scene", "caption"),
    [
        (Scene((Thing("red", "circle"),)), "a red circle"),
        (Scene((Thing("blue", "cross"),) * 3), "three blue crosses"),
        (Scene((Thing("red", "circle"), Thing("black", "square")), "above"), "a red circle above a black square"),
        (
            Scene((Thing("red", "square"), Thing("red", "square"), Thing("green", "cross"))),
            "two red squares and a green cross",
        ),
    ],
)
def test_captions_are_english(scene, caption):
    assert scene.caption() == caption


@given(SEEDS, st.floats(0, 0.9))
def test_sampled_scenes_are_of_the_grammar(rng, relation_share):
    for _ in range(20):
        scene = sample_scene(rng, relation_share)
        assert parse(scene.caption()) == scene


def test_every_kind_of_scene_is_sampled():
    rng = random.Random(0)
    scenes = [sample_scene(rng) for _ in range(2000)]
    assert {len(s.things) for s in scenes} == {1, 2, 3}
    assert {s.relation for s in scenes} == {None, *RELATIONS}
    assert {t.colour for s in scenes for t in s.things} == set(COLOURS)
    assert {t.shape for s in scenes for t in s.things} == set(SHAPES)
    assert 0.45 < sum(s.relation is not None for s in scenes) / 2000 < 0.55


@given(SCENES, SEEDS)
def test_a_misread_scene_is_never_the_same_scene(scene, rng):
    for _ in range(10):
        wrong = misread(scene, rng)
        assert not same(wrong, scene)
        assert wrongness(scene, wrong) >= 1


@given(SCENES, SEEDS)
def test_exactly_one_thing_is_misread(scene, rng):
    wrong = misread(scene, rng)
    before, after = list(scene.things), list(wrong.things)
    if len(before) == len(after):
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        if changed:
            assert len(changed) == 1
            (a, b) = changed[0]
            assert (a.colour == b.colour) != (a.shape == b.shape)
            assert wrong.relation in (scene.relation, None)
        else:
            assert wrong.relation == OPPOSITE[scene.relation]
    else:
        more, less = Counter(after), Counter(before)
        assert sum(((more - less) + (less - more)).values()) == 1


def test_every_way_of_misreading_happens():
    rng = random.Random(0)
    scene = parse("a red circle left of a blue square")
    kinds = Counter()
    for _ in range(500):
        wrong = misread(scene, rng)
        if len(wrong.things) != 2:
            kinds["count"] += 1
        elif wrong.things == scene.things:
            kinds["relation"] += 1
        else:
            a, b = next((a, b) for a, b in zip(scene.things, wrong.things, strict=True) if a != b)
            kinds["colour" if a.shape == b.shape else "shape"] += 1
    assert min(kinds[k] for k in ("colour", "shape", "count", "relation")) > 50


@pytest.mark.parametrize(
    ("things", "relation"),
    [
        ((), None),
        ((Thing("red", "circle"),) * 4, None),
        ((Thing("red", "circle"),), "above"),
        ((Thing("red", "circle"), Thing("red", "cross")), "under"),
    ],
)
def test_a_scene_that_cannot_be_is_refused(things, relation):
    with pytest.raises(ValueError, match=r"a scene holds|a relation is"):
        Scene(things, relation)


def test_the_held_out_share_is_what_it_says_and_never_moves():
    captions = [scene.caption() for scene in all_scenes()]
    assert 0.36 < sum(map(held_out, captions)) / len(captions) < 0.44
    assert 0.08 < sum(held_out(c, 0.1) for c in captions) / len(captions) < 0.12
    assert all(held_out(c) for c in captions if held_out(c, 0.1))
    some = ("a red circle", "two blue squares", "a red circle left of a blue square", "a blue circle", "a green cross")
    assert [held_out(caption) for caption in some] == [False, False, False, False, True]

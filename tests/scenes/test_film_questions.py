import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.film import CLIP_FAULTS
from urm_ray.scenes.film_questions import (
    CLIP_WORDS,
    ONE,
    TWO,
    ClipView,
    about_clips,
    about_one_clip,
    about_two_clips,
    draw_clip,
)
from urm_ray.scenes.motion import MOTIONS, MovingScene, all_scenes, differences, misread_clip, parse, sample_scene

SCENES = st.builds(lambda seed: sample_scene(random.Random(seed)), st.integers(0, 10**6))
FAULTS = st.sampled_from([(None, 0), *((fault, strength) for fault in CLIP_FAULTS for strength in (1, 2, 3))])
SEEDS = st.integers(0, 100_000)
STRENGTHS = ["none", "weak", "medium", "strong"]
AMOUNTS = ["none", "one", "two", "three"]
COMPARED = {1: "the first", -1: "the second", 0: "neither"}
CHOSEN = {(True, True): "both", (True, False): "the first", (False, True): "the second", (False, False): "neither"}
PARTS = {"colours": "colours", "shapes": "shapes", "motions": "motions", "things": "total"}


def split(question: str) -> tuple[MovingScene | None, list[str]]:
    """The captioned scene, if there is one, and the words of the question."""
    caption, asked = None, question
    if question.startswith("Caption: "):
        first, _, asked = question.removeprefix("Caption: ").partition("\n")
        caption = parse(first)
    return caption, asked.rstrip("?.").split()


def motion_of(words: list[str], scene: MovingScene) -> str:
    (found,) = {m.motion for m in scene.movers if [m.thing.colour, m.thing.shape] == words}
    return found


def wrong(asked: MovingScene | None, part: str, scene: MovingScene) -> int:
    assert asked is not None
    return getattr(differences(asked, scene), PARTS[part])


@given(SCENES, FAULTS, SEEDS)
def test_answers_about_one_clip_are_true(scene, fault, seed):
    exchange = about_one_clip(ClipView(scene, *fault), random.Random(seed))
    asked, words = split(exchange.question)
    answer, things = exchange.answer, [(m.thing.colour, m.thing.shape) for m in scene.movers]
    match words:
        case ["Describe", "the", "video"]:
            assert parse(answer) == scene
        case ["How", "many", "shapes", "are", "there"]:
            assert answer == {1: "one", 2: "two"}[len(things)]
        case ["Is", "there", "a", colour, shape]:
            assert answer == ("yes" if (colour, shape) in things else "no")
        case ["How", "does", "the", colour, shape, "move"]:
            assert answer == motion_of([colour, shape], scene)
        case ["What", "is", *motion]:
            moving = [m.thing for m in scene.movers if m.motion == " ".join(motion)]
            assert Counter(t for t in moving if f"{t.colour} {t.shape}" in answer) == Counter(moving)
            assert (answer == "nothing") == (not moving)
        case ["Is", "the", "video", *_]:
            assert answer == CLIP_WORDS[fault[0]]
        case ["How", "strong", "is", "the", "fault"]:
            assert answer == STRENGTHS[fault[1]]
        case ["How", "many", part, "are", "wrong"]:
            assert answer == AMOUNTS[min(3, wrong(asked, part, scene))]
        case ["Does", "the", "video", "show", "this"]:
            assert answer == ("yes" if asked == scene else "no")
        case _:
            pytest.fail(f"a question nobody knows: {exchange.question}")


@given(SCENES, SCENES | st.none(), FAULTS, FAULTS, SEEDS)
def test_answers_about_two_clips_are_true(first, second, fault, other, seed):
    second = second or misread_clip(first, random.Random(seed))
    scenes, faults = (first, second), (fault, other)
    exchange = about_two_clips(ClipView(first, *fault), ClipView(second, *other), random.Random(seed))
    asked, words = split(exchange.question)
    answer = exchange.answer
    which = int(next((word for word in words if word in ("1", "2")), 1)) - 1
    match words:
        case ["Describe", "video", _]:
            assert parse(answer) == scenes[which]
        case ["How", "does", "the", colour, shape, "move", "in", "video", _]:
            assert answer == motion_of([colour, shape], scenes[which])
        case ["Which", "video", "has", "the", "stronger" | "weaker" as word, "fault"]:
            one, two = (f[1] for f in (faults if word == "stronger" else faults[::-1]))
            assert answer == COMPARED[(one > two) - (one < two)]
        case ["Which", "video", "has", "more" | "fewer" as word, "things", "wrong"]:
            one, two = (wrong(asked, "things", s) for s in (scenes if word == "more" else scenes[::-1]))
            assert answer == COMPARED[(one > two) - (one < two)]
        case ["Which", "video", "has", *thing]:
            one, two = (any(m.text() == " ".join(thing) for m in s.movers) for s in scenes)
            assert answer == CHOSEN[one, two]
        case ["Which", "video", "shows", "this"]:
            assert answer == CHOSEN[first == asked, second == asked]
        case ["Which", "video", "is", word]:
            one, two = (CLIP_WORDS[f[0]] == word for f in faults)
            assert answer == CHOSEN[one, two]
        case ["How", "strong", *_]:
            assert answer == STRENGTHS[faults[which][1]]
        case ["How", "many", part, *_]:
            assert answer == AMOUNTS[min(3, wrong(asked, part, scenes[which]))]
        case ["Does", "video", _, "show", "this"]:
            assert answer == ("yes" if scenes[which] == asked else "no")
        case _:
            pytest.fail(f"a question nobody knows: {exchange.question}")


@given(SCENES, FAULTS, SEEDS)
def test_what_is_known_is_what_is_wrong_beside_the_caption(scene, fault, seed):
    rng = random.Random(seed)
    views = [ClipView(scene, *fault), ClipView(misread_clip(scene, rng), *fault)][: rng.choice((1, 2))]
    exchange = about_clips(views, rng)
    asked, _ = split(exchange.question)
    assert len(exchange.known) == (len(views) if asked else 0)
    for view, known in zip(views, exchange.known, strict=False):
        assert asked is not None
        difference = differences(asked, view.scene)
        assert known["total"] == known["colours"] + known["shapes"] + known["motions"] + known["count"]
        assert (known["total"], known["motions"]) == (difference.total, difference.motions)
        assert known["strength"] == fault[1]


def test_every_kind_of_question_is_asked():
    rng = random.Random(0)
    views = [ClipView(rng.choice(all_scenes()), "jump", 2) for _ in range(3000)]
    one = Counter(" ".join(split(about_one_clip(view, rng).question)[1][:3]) for view in views)
    pairs = zip(views[::2], views[1::2], strict=True)
    two = Counter(" ".join(split(about_two_clips(*pair, rng).question)[1][:3]) for pair in pairs)
    assert len(one) >= len(ONE) - 1
    assert len(two) >= len(TWO) - 3
    assert any("moving" in opening or opening == "How does the" for opening in one)


def test_yes_and_no_are_about_as_frequent():
    rng = random.Random(0)
    answers = [about_one_clip(ClipView(sample_scene(rng)), rng).answer for _ in range(4000)]
    assert 0.4 < answers.count("yes") / (answers.count("yes") + answers.count("no")) < 0.6


def test_a_clip_is_what_its_view_says():
    rng = random.Random(0)
    faults = Counter(draw_clip(rng)[1].fault for _ in range(200))
    assert set(faults) == {None, *CLIP_FAULTS}
    assert 70 < faults[None] < 130
    scene = sample_scene(rng)
    frames, view = draw_clip(rng, scene)
    assert view.scene == scene
    assert len(frames) == 8
    assert set(MOTIONS) >= {mover.motion for mover in view.scene.movers}

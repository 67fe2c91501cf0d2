import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.clip_answers import draw_moving_scene
from urm_ray.scenes.clip_questions import KINDS, ClipQuestion, draw_clip_question
from urm_ray.scenes.grammar import held_out
from urm_ray.scenes.motion import all_scenes, parse

SEEDS = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Describe the video.", ClipQuestion("describe")),
        ("How many shapes are there?", ClipQuestion("count")),
        ("What colour is the cross?", ClipQuestion("colour", None, "cross")),
        ("Which shape is blue?", ClipQuestion("shape", "blue")),
        ("Is there a red circle?", ClipQuestion("exists", "red", "circle")),
        ("Is there a red circle moving left?", ClipQuestion("moving", "red", "circle", "moving left")),
        ("Is there a red circle staying still?", ClipQuestion("moving", "red", "circle", "staying still")),
        ("How does the black square move?", ClipQuestion("how", "black", "square")),
        ("What is moving up?", ClipQuestion("what", motion="moving up")),
        (
            "Caption: two red circles moving left\nDoes the video show this?",
            ClipQuestion("shown", caption=parse("two red circles moving left")),
        ),
    ],
)
def test_what_a_question_asks(text, question):
    assert ClipQuestion.of(text) == question


@pytest.mark.parametrize(
    "text",
    ["Describe the image.", "How does the dog move?", "What is moving?", "Is there a red circle falling?", ""],
)
def test_a_question_of_another_world_is_refused(text):
    with pytest.raises(ValueError, match="not a question about a clip"):
        ClipQuestion.of(text)
    with pytest.raises(ValueError, match="not a caption"):
        ClipQuestion.of("Caption: a dog moving left\nDoes the video show this?")


@given(st.sampled_from(all_scenes()), SEEDS)
def test_a_question_has_one_answer(scene, seed):
    question = ClipQuestion.of(draw_clip_question(scene, random.Random(seed), held_out(scene.caption())))
    movers = [(m.thing.colour, m.thing.shape, m.motion) for m in scene.movers]
    match question.kind:
        case "colour":
            assert [shape for _, shape, _ in movers].count(question.shape) == 1
        case "shape":
            assert [colour for colour, _, _ in movers].count(question.colour) == 1
        case "how":
            assert [mover[:2] for mover in movers].count((question.colour, question.shape)) == 1
        case "what":
            assert len({mover[:2] for mover in movers if mover[2] == question.motion}) == 1


@given(SEEDS, st.booleans())
def test_captions_keep_to_their_part(seed, of_held_out):
    rng = random.Random(seed)
    scene = draw_moving_scene(rng, of_held_out)
    assert held_out(scene.caption()) is of_held_out
    question = ClipQuestion.of(draw_clip_question(scene, rng, of_held_out))
    if question.caption is not None:
        assert held_out(question.caption.caption()) is of_held_out


def test_kinds_have_their_shares_and_yes_is_right_as_often_as_no():
    rng = random.Random(3)
    kinds, yes = Counter(), {kind: Counter() for kind in ("exists", "moving", "shown")}
    for _ in range(4000):
        scene = draw_moving_scene(rng, True)
        question = ClipQuestion.of(draw_clip_question(scene, rng, True))
        kinds[question.kind] += 1
        asked = (question.colour, question.shape, question.motion)
        there = {(m.thing.colour, m.thing.shape, m.motion) for m in scene.movers}
        match question.kind:
            case "exists":
                yes["exists"][asked[:2] in {mover[:2] for mover in there}] += 1
            case "moving":
                yes["moving"][asked in there] += 1
            case "shown":
                yes["shown"][question.caption == scene] += 1
    assert set(kinds) == set(KINDS)
    assert 0.37 < kinds["describe"] / kinds.total() < 0.46
    assert 0.24 < sum(kinds[kind] for kind in ("moving", "how", "what")) / kinds.total() < 0.33
    assert min(kinds.values()) > 100
    for counts in yes.values():
        assert 0.4 < counts[True] / counts.total() < 0.6


def test_a_wrong_caption_is_a_near_miss():
    rng = random.Random(4)
    scene = parse("a red circle moving left and a blue square staying still")
    shared = []
    while len(shared) < 60:
        question = ClipQuestion.of(draw_clip_question(scene, rng, held_out(scene.caption())))
        if question.caption not in (None, scene):
            words = Counter(question.caption.caption().split())
            shared.append((words & Counter(scene.caption().split())).total() / words.total())
    assert sum(share >= 0.8 for share in shared) > 50

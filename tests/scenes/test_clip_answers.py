import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.clip_answers import draw_moving_scene, write_clip_answer
from urm_ray.scenes.clip_questions import ClipQuestion, draw_clip_question
from urm_ray.scenes.clip_statements import clip_statements
from urm_ray.scenes.clip_truth import ClipFacts, clip_figures
from urm_ray.scenes.motion import all_scenes, parse

SEEDS = st.integers(0, 10**6)
DESCRIBE = "Describe the video."
BOTH = "a red circle moving left and a blue square staying still"


def told(question, scene, answer) -> dict:
    return clip_figures(ClipQuestion.of(question), ClipFacts.known(scene), answer.text)


@given(st.sampled_from(all_scenes()), SEEDS, st.integers(0, 3), st.booleans())
def test_a_description_has_as_many_false_statements_as_it_says(scene, seed, mistakes, leave_out):
    answer = write_clip_answer(DESCRIBE, scene, random.Random(seed), mistakes, leave_out)
    found, facts, said = told(DESCRIBE, scene, answer), ClipFacts.known(scene), clip_statements(answer.text)
    judged = len(said.things.claims) + sum(facts.holds(motion) is not None for motion in said.motions)
    assert round(judged * (1 - found["true"])) == answer.false == mistakes
    assert found["whole"] == float(not answer.false and not answer.missing)
    assert len(answer.remarks) == mistakes + leave_out
    assert answer.answered


@given(st.sampled_from([s for s in all_scenes() if len(set(s.movers)) == len(set(s.things))]), SEEDS)
def test_what_is_left_out_is_not_told_and_the_rest_is_true(scene, seed):
    answer = write_clip_answer(DESCRIBE, scene, random.Random(seed), 0, leave_out=True)
    found = told(DESCRIBE, scene, answer)
    assert found["true"] == 1
    assert 0 < answer.missing < 2 * len(scene.movers)
    assert found["complete"] == pytest.approx(1 - answer.missing / (2 * len(scene.movers)))


@given(SEEDS, st.booleans(), st.integers(0, 3))
def test_an_answer_to_any_question_is_as_wrong_as_it_says(seed, of_held_out, mistakes):
    rng = random.Random(seed)
    scene = draw_moving_scene(rng, of_held_out)
    question = draw_clip_question(scene, rng, of_held_out)
    answer = write_clip_answer(question, scene, rng, mistakes)
    found = told(question, scene, answer)
    assert found["read"] == 1
    assert answer.false == mistakes
    assert (found["true"] == 1) is (answer.false == 0)
    if question != DESCRIBE:
        assert found["complete"] == float(answer.answered)
    assert len(answer.remarks) == mistakes


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("How does the red circle move?", {"left", "It is moving left.", "The red circle is moving left."}),
        (
            "How does the blue square move?",
            {"staying still", "It is not moving.", "The blue square is not moving."},
        ),
        ("What is moving left?", {"a red circle", "It is a red circle.", "A red circle is moving left."}),
        ("What is staying still?", {"a blue square", "It is a blue square.", "A blue square is not moving."}),
        ("Is there a red circle moving left?", {"yes", "Yes, there is a red circle moving left."}),
        ("Is there a red circle moving up?", {"no", "No, there is no red circle moving up."}),
        ("Is there a red square?", {"no", "No, there is no red square."}),
        (f"Caption: {BOTH}\nDoes the video show this?", {"yes", "Yes, it does."}),
        ("Caption: a red circle moving left\nDoes the video show this?", {"no", "No, it does not."}),
        ("How many shapes are there?", {"two", "2", "There are two shapes."}),
    ],
)
def test_short_answers(question, right):
    texts = {write_clip_answer(question, parse(BOTH), random.Random(n), 0).text for n in range(150)}
    assert {text for text in texts if text in right} == right
    longer = texts - right
    starts = tuple(text[0].upper() + text[1:].rstrip(".") + "." for text in right)
    assert longer
    assert all(text.startswith(starts) and "blue square" in text for text in longer)


def test_descriptions_are_said_in_several_ways():
    texts = Counter(write_clip_answer(DESCRIBE, parse(BOTH), random.Random(n), 0).text for n in range(150))
    circle, square = BOTH.split(" and ")
    sentences = ["A red circle is moving left.", "A blue square is not moving."]
    assert set(texts) == {
        BOTH,
        f"{square} and {circle}",
        f"The video shows {BOTH}.",
        f"The video shows {square} and {circle}.",
        " ".join(sentences),
        " ".join(sentences[::-1]),
    }


def test_a_motion_that_is_not_told_is_not_lent_by_another_thing():
    texts = {write_clip_answer(DESCRIBE, parse(BOTH), random.Random(n), 0, True).text for n in range(200)}
    assert "a blue square staying still and a red circle" in texts
    assert "a red circle moving left and a blue square" in texts
    assert not any("circle and a blue square staying still" in text for text in texts)

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.answers import KINDS, draw_question, draw_scene, one_way, write_answer
from urm_ray.scenes.descriptions import Description
from urm_ray.scenes.grammar import all_scenes, held_out, parse
from urm_ray.scenes.statements import statements
from urm_ray.scenes.truth import Facts, Question, figures

SEEDS = st.integers(0, 10**6)
PLACED = sorted({one_way(scene, random.Random(0)) for scene in all_scenes()}, key=lambda s: s.caption())


@given(st.sampled_from(PLACED), SEEDS, st.integers(0, 3), st.booleans())
def test_a_description_has_as_many_false_statements_as_it_says(scene, seed, mistakes, leave_out):
    rng = random.Random(seed)
    answer = write_answer("Describe the image.", scene, rng, mistakes, leave_out)
    found = figures(Question.of("Describe the image."), Facts.known(scene), answer.text)
    said = statements(answer.text)
    judged = len(said.claims) + sum(Facts.known(scene).related(*r) is not None for r in said.relations)
    assert round(judged * (1 - found["true"])) == answer.false == mistakes
    assert found["whole"] == float(not answer.false and not answer.missing)
    assert len(answer.remarks) == mistakes + bool(answer.missing)
    assert answer.answered


@given(st.sampled_from(PLACED), SEEDS)
def test_what_is_left_out_is_not_told_and_the_rest_is_true(scene, seed):
    rng = random.Random(seed)
    description = Description.of(scene)
    description.leave_out(rng)
    found = figures(Question.of("Describe the image."), Facts.known(scene), description.text(rng))
    facts = len(scene.things) + (scene.relation is not None)
    assert found["true"] == 1
    assert found["complete"] == pytest.approx(1 - description.missing / facts)
    assert (description.missing == 0) is (len(scene.things) == 1)


@given(SEEDS, st.booleans(), st.integers(0, 3))
def test_an_answer_to_any_question_is_as_wrong_as_it_says(seed, of_held_out, mistakes):
    rng = random.Random(seed)
    scene = draw_scene(rng, of_held_out)
    question = draw_question(scene, rng, of_held_out)
    answer = write_answer(question, scene, rng, mistakes)
    found = figures(Question.of(question), Facts.known(scene), answer.text)
    assert found["read"] == 1
    assert (found["true"] == 1) is (answer.false == 0) is (mistakes == 0)
    if Question.of(question).kind != "describe":
        assert found["complete"] == float(answer.answered)
    assert len(answer.remarks) == mistakes


@given(st.sampled_from(all_scenes()), SEEDS)
def test_what_looks_alike_is_described_one_way(scene, seed):
    rng = random.Random(seed)
    found = one_way(scene, rng)
    assert Counter(found.things) == Counter(scene.things)
    assert one_way(found, rng) == found
    assert (found.relation in ("left of", "above")) is (len(scene.counts) == len(scene.things) == 2)
    assert Facts.known(found).shows(scene)


@given(SEEDS, st.booleans())
def test_scenes_and_captions_keep_to_their_part(seed, of_held_out):
    rng = random.Random(seed)
    scene = draw_scene(rng, of_held_out)
    assert held_out(scene.caption()) is of_held_out
    caption = Question.of(draw_question(scene, rng, of_held_out)).caption
    if caption is not None:
        assert held_out(caption.caption()) is of_held_out
        if caption.relation is not None:  # else either relation may be drawn for it
            assert held_out(one_way(caption, rng).caption()) is of_held_out


def test_every_kind_is_asked_and_yes_is_right_as_often_as_no():
    rng = random.Random(3)
    kinds, shown, there = Counter(), Counter(), Counter()
    for _ in range(900):
        scene = draw_scene(rng, True)
        question = Question.of(draw_question(scene, rng, True))
        kinds[question.kind] += 1
        if question.caption is not None:
            shown[Facts.known(scene).shows(question.caption)] += 1
        if question.kind == "exists":
            there[any((t.colour, t.shape) == (question.colour, question.shape) for t in scene.things)] += 1
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 30
    for counts in (shown, there):
        assert 0.35 < counts[True] / counts.total() < 0.65


def test_descriptions_are_said_in_several_ways():
    scene = parse("a red circle left of a blue square")
    texts = {write_answer("Describe the image.", scene, random.Random(n), 0).text for n in range(60)}
    assert len(texts) == 6
    assert scene.caption() in texts

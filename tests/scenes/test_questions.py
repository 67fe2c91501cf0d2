import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.grammar import COLOURS, SHAPES, all_scenes, parse, wrongness
from urm_ray.scenes.questions import QUALITY_WORDS, View, about_one, about_two, shows

SCENES = st.sampled_from(all_scenes())
FAULTS = st.sampled_from(list(QUALITY_WORDS))
SEEDS = st.integers(0, 100_000)
STRENGTHS = {None: 0, "blur": 1, "noise": 2, "broken": 3}
STRENGTH_ANSWERS = ["none", "weak", "medium", "strong"]
AMOUNT_ANSWERS = ["none", "one", "two", "three"]
SURE = "a red circle left of a blue square"


@given(SCENES, FAULTS, SEEDS)
def test_answers_about_one_picture_are_true(scene, fault, seed):
    question, answer = about_one(View(scene, fault, STRENGTHS[fault]), random.Random(seed))
    things = scene.things
    if question == "Describe the image.":
        assert parse(answer) == scene
    elif question == "How many shapes are there?":
        assert answer == {1: "one", 2: "two", 3: "three"}[len(things)]
    elif question.startswith("What colour is the "):
        shape = question.removeprefix("What colour is the ").removesuffix("?")
        assert [t.colour for t in things if t.shape == shape] == [answer]
    elif question.startswith("Which shape is "):
        colour = question.removeprefix("Which shape is ").removesuffix("?")
        assert [t.shape for t in things if t.colour == colour] == [answer]
    elif question.startswith("Is there a "):
        colour, shape = question.removeprefix("Is there a ").removesuffix("?").split()
        assert colour in COLOURS
        assert shape in SHAPES
        assert answer == ("yes" if any((t.colour, t.shape) == (colour, shape) for t in things) else "no")
    elif question.startswith("Is the image sharp"):
        assert answer == QUALITY_WORDS[fault]
    elif question.startswith("How strong is the fault"):
        assert answer == STRENGTH_ANSWERS[STRENGTHS[fault]]
    elif question.startswith("How many things of "):
        asked = parse(question.removeprefix("How many things of ").removesuffix(" are wrong in the image?"))
        assert answer == AMOUNT_ANSWERS[min(3, wrongness(asked, scene))]
    else:
        assert question.startswith(("Does the image show ", "Is the "))
        assert answer in ("yes", "no")


def test_yes_and_no_are_about_as_frequent():
    rng = random.Random(0)
    answers = [about_one(View(rng.choice(all_scenes())), rng)[1] for _ in range(4000)]
    yes, no = answers.count("yes"), answers.count("no")
    assert 0.4 < yes / (yes + no) < 0.6


@given(SCENES, SCENES, FAULTS, FAULTS, SEEDS)
def test_answers_about_two_pictures_are_true(first, second, fault, other, seed):
    views = View(first, fault, STRENGTHS[fault]), View(second, other, STRENGTHS[other])
    question, answer = about_two(*views, random.Random(seed))
    compared = {1: "the first", -1: "the second", 0: "neither"}
    if question.startswith("Which image shows "):
        asked = parse(question.removeprefix("Which image shows ").removesuffix("?"))
        here, there = (shows(View(scene), asked) for scene in (first, second))
        assert answer == {(True, True): "both", (True, False): "the first", (False, True): "the second"}[here, there]
    elif question.startswith("Describe image "):
        assert parse(answer) == (first if "1" in question else second)
    elif question.startswith("Which image is "):
        word = question.removeprefix("Which image is ").removesuffix("?")
        here, there = (QUALITY_WORDS[f] == word for f in (fault, other))
        assert (
            answer
            == {
                (True, True): "both",
                (True, False): "the first",
                (False, True): "the second",
                (False, False): "neither",
            }[here, there]
        )
    elif question.startswith("How strong is the fault of image "):
        assert answer == STRENGTH_ANSWERS[STRENGTHS[fault if "1" in question else other]]
    elif question == "Which image has the stronger fault?":
        assert answer == compared[(STRENGTHS[fault] > STRENGTHS[other]) - (STRENGTHS[fault] < STRENGTHS[other])]
    elif question.startswith("How many things of "):
        caption, _, number = (
            question.removeprefix("How many things of ").removesuffix("?").rpartition(" are wrong in image ")
        )
        assert answer == AMOUNT_ANSWERS[min(3, wrongness(parse(caption), first if number == "1" else second))]
    elif question.startswith("Which image has more things of "):
        asked = parse(question.removeprefix("Which image has more things of ").removesuffix(" wrong?"))
        here, there = (min(3, wrongness(asked, scene)) for scene in (first, second))
        assert answer == compared[(here > there) - (here < there)]
    else:
        assert answer in ("yes", "no", "the first", "the second", "both", "neither")


@pytest.mark.parametrize(
    ("drawn", "caption", "true"),
    [
        (SURE, SURE, True),
        (SURE, "a blue square right of a red circle", True),
        (SURE, "a red circle and a blue square", True),
        (SURE, "a red circle right of a blue square", False),
        ("a red circle and a blue square", SURE, False),
        (SURE, "a red circle", False),
        ("two red circles", "a red circle", False),
    ],
)
def test_what_a_picture_shows(drawn, caption, true):
    assert shows(View(parse(drawn)), parse(caption)) is true

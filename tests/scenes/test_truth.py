import random

import pytest
from PIL import Image

from urm_ray.scenes.answers import draw_question, draw_scene, write_answer
from urm_ray.scenes.grammar import parse
from urm_ray.scenes.render import BACKGROUND, SIZE, render
from urm_ray.scenes.truth import KINDS, Facts, Question, Truth, figures

DESCRIBE, COUNT = "Describe the image.", "How many shapes are there?"
BESIDE = "a red circle left of a blue square"


def told(question: str, scene: str, answer: str) -> tuple:
    found = figures(Question.of(question), Facts.known(parse(scene)), answer)
    return tuple(round(found[name], 3) for name in ("true", "complete", "whole"))


@pytest.mark.parametrize(
    "answer",
    [
        BESIDE,
        "a blue square right of a red circle",
        "The image shows a blue square. To the left of it is a red circle.",
        "Red circle left of blue square.",
    ],
)
def test_a_whole_description_in_any_words(answer):
    assert told(DESCRIBE, BESIDE, answer) == (1, 1, 1)


@pytest.mark.parametrize(
    ("answer", "true", "complete"),
    [
        ("a red circle right of a blue square", 2 / 3, 2 / 3),
        ("a red circle above a blue square", 2 / 3, 2 / 3),
        ("a red circle and a blue square", 1, 2 / 3),
        ("a red circle", 1, 1 / 3),
        ("a circle", 1, 1 / 6),
        ("a circle left of a square", 1, 2 / 3),
        ("a green circle left of a blue square", 1 / 2, 1 / 3),
        ("a red circle left of a blue square and a green cross", 3 / 4, 1),
        ("two red circles left of a blue square", 2 / 3, 1),
        ("There are two shapes: a red circle and a blue square.", 1, 2 / 3),
        ("There are three shapes: a red circle left of a blue square.", 3 / 4, 1),
        ("a dog", 0, 0),
        ("a red circle left of a blue square and a dog", 3 / 4, 1),
        ("a red circle left of a blue square on a white background", 1, 1),
    ],
)
def test_a_description_is_marked_by_what_is_true_and_what_is_there(answer, true, complete):
    assert told(DESCRIBE, BESIDE, answer) == (round(true, 3), round(complete, 3), float(true == complete == 1))


@pytest.mark.parametrize(
    ("scene", "answer", "wanted"),
    [
        ("two red circles", "two red circles", (1, 1, 1)),
        ("two red circles", "a red circle", (1, 0.5, 0)),
        ("two red circles", "three red circles", (0, 1, 0)),
        ("two red circles", "red circles", (1, 1, 1)),
        ("two red circles", "one red circle", (0, 0.5, 0)),
        ("three red circles", "two red circles", (0, 0.667, 0)),
        ("a red circle", "a red circle left of a blue square", (0.5, 1, 0)),
        ("two red circles and a blue square", "a blue square and two red circles", (1, 1, 1)),
    ],
)
def test_numbers_of_things(scene, answer, wanted):
    assert told(DESCRIBE, scene, answer) == wanted


@pytest.mark.parametrize(
    ("question", "answer", "wanted"),
    [
        (COUNT, "two", (1, 1, 1)),
        (COUNT, "2", (1, 1, 1)),
        (COUNT, "There are two shapes.", (1, 1, 1)),
        (COUNT, "a red circle and a blue square", (1, 1, 1)),
        (COUNT, "three", (0, 0, 0)),
        (COUNT, "Two. The image shows a red circle above a blue square.", (0.75, 1, 0)),
        (COUNT, "Three. The image shows a red circle and a blue square.", (0.667, 0, 0)),
        ("What colour is the circle?", "red", (1, 1, 1)),
        ("What colour is the circle?", "It's red.", (1, 1, 1)),
        ("What colour is the circle?", "The circle is red.", (1, 1, 1)),
        ("What colour is the circle?", "blue", (0, 0, 0)),
        ("What colour is the circle?", "a blue square", (1, 0, 0)),
        ("What colour is the circle?", "Blue. The image shows a red circle.", (0.5, 0, 0)),
        ("What colour is the circle?", "The circle is red. The image shows two red circles.", (0, 1, 0)),
        ("Which shape is blue?", "square", (1, 1, 1)),
        ("Which shape is blue?", "the square", (1, 1, 1)),
        ("Which shape is blue?", "the circle", (0, 0, 0)),
        ("Which shape is blue?", "The square is blue, and the circle is red.", (1, 1, 1)),
        ("Is there a red circle?", "yes", (1, 1, 1)),
        ("Is there a red circle?", "There is.", (0, 0, 0)),
        ("Is there a red circle?", "There is a red circle.", (1, 1, 1)),
        ("Is there a red circle?", "No, there is no red circle.", (0, 0, 0)),
        ("Is there a red square?", "No, the square is blue.", (1, 1, 1)),
        ("Is there a red square?", "There is no red square.", (1, 1, 1)),
        ("Is there a red square?", "No. There is a green square.", (0.5, 1, 0)),
        ("Is there a red square?", "No. There is a red square.", (0.5, 1, 0)),
        ("Is there a red circle?", "Yes, there are two red circles.", (0.5, 1, 0)),
        (f"Caption: {BESIDE}\nDoes the image show this?", "yes", (1, 1, 1)),
        (f"Caption: {BESIDE}\nDoes the image show this?", "No.", (0, 0, 0)),
        ("Caption: a red circle right of a blue square\nDoes the image show this?", "no", (1, 1, 1)),
        ("Caption: a red circle\nDoes the image show this?", "yes", (0, 0, 0)),
        ("Caption: a red circle and a blue square\nDoes the image show this?", "Yes, it does.", (1, 1, 1)),
        (f"Caption: {BESIDE}\nDoes the image show this?", BESIDE, (1, 0, 0)),
    ],
)
def test_short_questions(question, answer, wanted):
    assert told(question, BESIDE, answer) == wanted


@pytest.mark.parametrize("question", [DESCRIBE, COUNT, "Is there a red circle?", "Which shape is blue?"])
@pytest.mark.parametrize("answer", ["", "I cannot say.", "?", "yes" * 9])
def test_what_cannot_be_understood_scores_nothing_and_says_so(question, answer):
    found = figures(Question.of(question), Facts.known(parse(BESIDE)), answer)
    assert found == {"true": 0, "complete": 0, "whole": 0, "read": 0}
    assert figures(Question.of(question), Facts.known(parse(BESIDE)), "red")["read"] == 1


def test_places_that_are_not_known_are_not_judged():
    assert told(DESCRIBE, "a red circle and a blue square", "a red circle right of a blue square") == (1, 1, 1)
    assert told(DESCRIBE, "a red circle and a blue square", "a red circle and a blue square") == (1, 1, 1)


def test_a_picture_tells_where_its_things_are():
    for seed in range(5):
        picture = render(parse(BESIDE), random.Random(seed))
        assert Truth().figures(DESCRIBE, "a red circle left of a blue square", [picture])["whole"] == 1
        assert Truth().figures(DESCRIBE, "a red circle below a blue square", [picture])["whole"] == 0


def test_held_out_pictures_with_answers_of_known_truth():
    rng = random.Random(40)
    right = kinds = 0
    for _ in range(400):
        scene = draw_scene(rng, True)
        question = draw_question(scene, rng, True)
        answer = write_answer(question, scene, rng, rng.choice((0, 0, 1, 2, 3)), rng.random() < 0.2)
        found = Truth().figures(question, answer.text, [render(scene, rng)])
        good = not answer.false and not answer.missing
        right += (found["whole"] == 1) == good and (found["true"] == 1) == (not answer.false) and found["read"] == 1
        kinds |= 1 << KINDS.index(Question.of(question).kind)
    assert right / 400 >= 0.98
    assert kinds == 2 ** len(KINDS) - 1


def test_nothing_is_true_of_an_empty_picture():
    empty = Image.new("RGB", (SIZE, SIZE), BACKGROUND)
    assert Truth().figures(DESCRIBE, "a red circle", [empty])["true"] == 0
    assert Truth().figures(COUNT, "one", [empty])["whole"] == 0


@pytest.mark.parametrize("question", ["What is the weather?", "Describe the image", "Is there a dog?", ""])
def test_a_question_of_another_world_is_refused(question):
    with pytest.raises(ValueError, match="not a question of the embedded world"):
        Question.of(question)

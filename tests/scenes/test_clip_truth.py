import random
from collections import Counter

import pytest
from PIL import Image

from urm_ray.clips import encode_clip
from urm_ray.evaluation.scorer import figures_of, load_scorer
from urm_ray.scenes.clip_answers import draw_moving_scene, write_clip_answer
from urm_ray.scenes.clip_questions import KINDS, ClipQuestion, draw_clip_question
from urm_ray.scenes.clip_truth import ClipFacts, ClipTruth, clip_figures
from urm_ray.scenes.film import FPS, film
from urm_ray.scenes.motion import parse
from urm_ray.scenes.render import BACKGROUND, SIZE

DESCRIBE = "Describe the video."
BOTH = "a red circle moving left and a blue square staying still"
TWINS = "a red circle moving left and a red circle moving up"
PAIR = "two red circles moving left"


def told(question: str, scene: str, answer: str) -> tuple:
    found = clip_figures(ClipQuestion.of(question), ClipFacts.known(parse(scene)), answer)
    return tuple(round(found[name], 3) for name in ("true", "complete", "whole"))


@pytest.mark.parametrize(
    ("scene", "answer", "true", "complete"),
    [
        (BOTH, BOTH, 1, 1),
        (BOTH, "A blue square stands still. The red circle moves to the left.", 1, 1),
        (BOTH, "a red circle moving right and a blue square staying still", 3 / 4, 3 / 4),
        (BOTH, "a red circle moving left and a blue square moving left", 3 / 4, 3 / 4),
        (BOTH, "a red circle staying still and a blue square moving left", 2 / 4, 2 / 4),
        (BOTH, "a red circle and a blue square", 1, 2 / 4),
        (BOTH, "a red circle moving and a blue square staying still", 1, 3 / 4),
        (BOTH, "a red circle moving left and a blue square moving", 3 / 4, 3 / 4),
        (BOTH, "a red circle moving left", 1, 2 / 4),
        (BOTH, "a circle moving left", 1, 1 / 4),
        (BOTH, "a green circle moving left and a blue square staying still", 2 / 3, 2 / 4),
        (BOTH, f"{BOTH} and a black cross moving up", 4 / 5, 1),
        (BOTH, f"{BOTH} and a dog", 4 / 5, 1),
        (BOTH, "two red circles moving left and a blue square staying still", 3 / 4, 1),
        (BOTH, "There are two shapes: a red circle moving left and a blue square staying still.", 1, 1),
        (BOTH, "A red circle and a blue square are moving left.", 3 / 4, 3 / 4),
        (BOTH, "The red circle is not moving up.", 1, 1 / 4),
        (BOTH, "yes", 0, 0),
        (PAIR, PAIR, 1, 1),
        (PAIR, "a red circle moving left", 1, 2 / 4),
        (PAIR, "two red circles", 1, 2 / 4),
        (PAIR, TWINS, 2 / 3, 3 / 4),
        (TWINS, TWINS, 1, 1),
        (TWINS, "A red circle is moving left. A red circle is moving up.", 1, 1),
        (TWINS, PAIR, 1 / 2, 3 / 4),
        ("a red circle moving left", TWINS, 1 / 3, 1),
    ],
)
def test_a_description_is_marked_by_what_is_true_and_what_is_there(scene, answer, true, complete):
    assert told(DESCRIBE, scene, answer) == (round(true, 3), round(complete, 3), float(true == complete == 1))


HOW, WHAT, MOVING = "How does the red circle move?", "What is moving left?", "Is there a red circle moving left?"
SHOWN = "Caption: {}\nDoes the video show this?"


@pytest.mark.parametrize(
    ("question", "answer", "wanted"),
    [
        (HOW, "left", (1, 1, 1)),
        (HOW, "to the left", (1, 1, 1)),
        (HOW, "It moves left.", (1, 1, 1)),
        (HOW, "The circle is moving left.", (1, 1, 1)),
        (HOW, "right", (0, 0, 0)),
        (HOW, "It is moving.", (1, 0, 0)),
        (HOW, "It is not moving up.", (1, 0, 0)),
        (HOW, "It is not moving.", (0, 0, 0)),
        (HOW, "The blue square is not moving.", (1, 0, 0)),
        (HOW, f"Right. The video shows {BOTH}.", (0.8, 0, 0)),
        (HOW, "Left. A blue square is moving up.", (0.667, 1, 0)),
        (WHAT, "a red circle", (1, 1, 1)),
        (WHAT, "The circle.", (1, 0.5, 0)),
        (WHAT, "It is a red circle. A blue square is not moving.", (1, 1, 1)),
        (WHAT, "A red circle is moving left.", (1, 1, 1)),
        (WHAT, "a blue square", (0.5, 0, 0)),
        (WHAT, "a green circle", (0, 0, 0)),
        (WHAT, "a red circle and a blue square", (0.75, 0, 0)),
        (WHAT, "A red circle is moving right.", (0.5, 0, 0)),
        (MOVING, "yes", (1, 1, 1)),
        (MOVING, "Yes, it is moving left.", (1, 1, 1)),
        (MOVING, "There is a red circle moving left.", (1, 1, 1)),
        (MOVING, "No, there is no red circle moving left.", (0, 0, 0)),
        (MOVING, "No. The video shows a red circle moving left.", (0.667, 0, 0)),
        (MOVING, "Yes, there are two red circles moving left.", (0.667, 1, 0)),
        ("Is there a red circle moving up?", "No, it is moving left.", (1, 1, 1)),
        ("Is there a red circle moving up?", "No. A red circle is moving up.", (0.667, 1, 0)),
        ("Is there a red circle moving up?", "Yes, there is a red circle moving up.", (0.5, 0, 0)),
        ("Is there a green circle moving left?", "No, there is no green circle moving left.", (1, 1, 1)),
        ("Is there a red circle?", "Yes, it is moving left.", (1, 1, 1)),
        ("Is there a red square?", "No. The square is blue.", (1, 1, 1)),
        ("Is there a red square?", "No. There is a red square.", (0.5, 1, 0)),
        ("How many shapes are there?", "2", (1, 1, 1)),
        ("How many shapes are there?", "Three. A red circle is moving left.", (0.667, 0, 0)),
        ("What colour is the circle?", "It is red and it is moving left.", (1, 1, 1)),
        ("What colour is the circle?", "blue", (0, 0, 0)),
        ("What colour is the circle?", "The circle is red. Two red circles are moving left.", (0.5, 1, 0)),
        ("Which shape is blue?", "square", (1, 1, 1)),
        (SHOWN.format(BOTH), "Yes, it does.", (1, 1, 1)),
        (SHOWN.format(BOTH), "no", (0, 0, 0)),
        (SHOWN.format("a red circle moving left"), "no", (1, 1, 1)),
        (SHOWN.format(TWINS), "No. A red circle is moving up.", (0.667, 1, 0)),
        (SHOWN.format(BOTH), BOTH, (1, 0, 0)),
    ],
)
def test_short_questions(question, answer, wanted):
    assert told(question, BOTH, answer) == wanted


@pytest.mark.parametrize("question", [DESCRIBE, HOW, WHAT, MOVING, SHOWN.format(BOTH)])
@pytest.mark.parametrize("answer", ["", "I cannot say.", "?", "left" * 9])
def test_what_cannot_be_understood_scores_nothing_and_says_so(question, answer):
    found = clip_figures(ClipQuestion.of(question), ClipFacts.known(parse(BOTH)), answer)
    assert found == {"true": 0, "complete": 0, "whole": 0, "read": 0}


def test_an_answer_that_names_one_of_two_is_half_of_what_was_asked():
    assert told(WHAT, PAIR, "a red circle") == (1, 0.5, 0)
    assert told(WHAT, PAIR, "They are two red circles.") == (1, 1, 1)


def test_held_out_clips_with_answers_of_known_truth():
    rng = random.Random(40)
    good, bad, kinds = [], [], Counter()
    for _ in range(300):
        scene = draw_moving_scene(rng, True)
        question = draw_clip_question(scene, rng, True)
        asked, facts = ClipQuestion.of(question), ClipFacts.seen(film(scene, rng))
        right = write_clip_answer(question, scene, rng, 0)
        wrong = write_clip_answer(question, scene, rng, rng.choice((1, 2, 3)))
        good.append(clip_figures(asked, facts, right.text)["whole"] == 1)
        found = clip_figures(asked, facts, wrong.text)
        bad.append(found["whole"] == 0 and found["true"] < 1 and found["read"] == 1)
        kinds[asked.kind] += 1
    assert sum(good) / 300 >= 0.99
    assert sum(bad) / 300 >= 0.99
    assert set(kinds) == set(KINDS)


def test_an_answer_about_a_clip_in_a_candidate_set_is_scored():
    clip = encode_clip(film(parse(BOTH), random.Random(1)), FPS)
    answers = [{"index": n, "media": None, "text": text} for n, text in enumerate(("left", "right"))]
    found = figures_of(
        load_scorer("urm_ray.scenes.clip_truth:ClipTruth"),
        {"prompt": HOW, "context": [clip], "candidates": answers},
    )
    assert [f["value"] for f in found if f["name"] == "whole"] == [1, 0]


def test_nothing_is_true_of_an_empty_clip():
    empty = [Image.new("RGB", (SIZE, SIZE), BACKGROUND)] * 8
    for question in (DESCRIBE, HOW, WHAT):
        assert ClipTruth().figures(question, "a red circle moving left", [empty])["true"] == 0
        assert ClipTruth().figures(question, "It is moving left.", [empty])["whole"] == 0

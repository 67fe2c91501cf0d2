import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.grammar import all_scenes
from urm_ray.scenes.statements import Claim, Statements, statements

RED, BLUE = Claim("red", "circle"), Claim("blue", "square")
BESIDE = ((RED, "left of", BLUE),)


@pytest.mark.parametrize(
    "text",
    [
        "a red circle left of a blue square",
        "Red circle left of blue square",
        "The image shows a red circle to the left of a blue square.",
        "A red circle is on the left side of a blue square",
        "There is a red circle. There is also a blue square. The red circle is left of the blue square.",
        "There is a red circle and a blue square.\nThe circle is to the left of the square!",
        "I can see a blue square. A red circle is to the left of it.",
        "There is a circle and a square. The circle is red. The square is blue. The circle is left of the square.",
        "It is a small red disc, which is to the left of a large blue box.",
    ],
)
def test_one_scene_in_many_words(text):
    found = statements(text)
    assert (set(found.claims), found.relations, found.totals, found.says) == ({RED, BLUE}, BESIDE, (), None)


@pytest.mark.parametrize(
    "text",
    ["a blue square right of a red circle", "To the left of the blue square there is a red circle.", "a blue square"],
)
def test_things_in_any_order(text):
    found = statements(text)
    assert set(found.claims) <= {RED, BLUE}
    assert found.relations in ((), BESIDE, ((BLUE, "right of", RED),))
    assert bool(found.relations) is ("red" in text)


@pytest.mark.parametrize(
    ("words", "relation"),
    [
        ("on top of", "above"),
        ("over", "above"),
        ("above", "above"),
        ("under", "below"),
        ("beneath", "below"),
        ("to the right of", "right of"),
        ("right of", "right of"),
    ],
)
def test_relations_in_other_words(words, relation):
    assert statements(f"a red circle {words} a blue square").relations == ((RED, relation, BLUE),)


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("two red circles and a green cross", [Claim("red", "circle", 2, 2), Claim("green", "cross")]),
        ("2 red circle", [Claim("red", "circle", 2, 2)]),
        ("a pair of red circles", [Claim("red", "circle", 2, 2)]),
        ("exactly one red circle", [Claim("red", "circle", 1, 1)]),
        ("red circles", [Claim("red", "circle", 2)]),
        ("a red circle and a red circle", [Claim("red", "circle", 2)]),
        ("A red circle. The red circle is big.", [RED]),
        ("a red circle. a red circle.", [RED]),
        ("no red circle", [Claim("red", "circle", 0, 0)]),
        ("There isn't a red circle", [Claim("red", "circle", 0, 0)]),
        ("the circle is not red but blue", [Claim("blue", "circle"), Claim("red", "circle", 0, 0)]),
        ("red", [Claim("red")]),
        ("It is red.", [Claim("red")]),
        ("The circle is red.", [RED]),
        ("The red shape is a circle", [RED]),
        ("a violet ball", [Claim("purple", "circle")]),
        ("circle", [Claim(None, "circle")]),
        ("crosses", [Claim(None, "cross", 2)]),
        ("Three circles. One is red and two are blue.", [Claim(None, "circle", 3, 3), Claim("red", None, 1, 1),
         Claim("blue", None, 2, 2)]),
        ("a blue circle. The circle is red.", [Claim("blue", "circle"), RED]),
        ("The image does not show a red circle.", [Claim("red", "circle", 0, 0)]),
        ("A red circle is there and a square.", [RED, Claim(None, "square")]),
        ("There\u2019s a circle. It's red.", [RED]),
        ("a very shiny red circle", [RED]),
    ],
)  # fmt: skip
def test_what_is_claimed_of_things(text, claims):
    assert list(statements(text).claims) == claims


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("a dog", [Claim(None, "dog")]),
        ("a red star on a white background", [Claim("red", "star")]),
        ("an orange circle", [Claim("orange", "circle")]),
        ("two green hexagons", [Claim("green", "hexagons", 2, 2)]),
    ],
)
def test_what_is_not_of_this_world_is_claimed_all_the_same(text, claims):
    assert list(statements(text).claims) == claims


@pytest.mark.parametrize(
    "text", ["two", "2", "Two.", "There are two shapes.", "There are two.", "two things in the image", "a total of two"]
)
def test_a_number_of_all_things(text):
    assert statements(text) == Statements(totals=(2,))


@pytest.mark.parametrize(
    ("text", "says", "claims"),
    [
        ("yes", True, ()),
        ("Yes, it does.", True, ()),
        ("No. It does not.", False, ()),
        ("Yes, there is a red circle.", True, (RED,)),
        ("No, there is no red circle.", False, (Claim("red", "circle", 0, 0),)),
        ("No, the circle is blue", False, (Claim("blue", "circle"),)),
        ("no red circle", None, (Claim("red", "circle", 0, 0),)),
        ("a red circle, yes", None, (RED,)),
    ],
)
def test_yes_and_no_are_answers_where_a_text_begins_with_them(text, says, claims):
    found = statements(text)
    assert (found.says, found.claims) == (says, claims)


@pytest.mark.parametrize("text", ["", " \n", "...", "asdf qwer", "The image is sharp", "the the the", "on the left"])
def test_a_text_that_says_nothing(text):
    assert statements(text).nothing


@given(st.sampled_from(all_scenes()))
def test_every_caption_says_its_scene(scene):
    found = statements(scene.caption())
    counts = {(thing.colour, thing.shape): number for thing, number in scene.counts.items()}
    assert {(c.colour, c.shape): c.least for c in found.claims} == counts
    assert all(c.most in (None, c.least) for c in found.claims)
    if scene.relation:
        ((first, relation, second),) = found.relations
        assert [(c.colour, c.shape) for c in (first, second)] == [(t.colour, t.shape) for t in scene.things]
        assert relation == scene.relation
    else:
        assert found.relations == ()


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text):
    found = statements(text)
    assert all(claim.colour or claim.shape for claim in found.claims)


WORDS = st.sampled_from(
    re.findall(
        r"\S+",
        "a the no not it is are two one red blue violet white circle squares cross dog image shape shapes left of "
        "right to above yes and with . , ; it's 3",
    )
)


@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_no_jumble_of_known_words_breaks_the_reader(text):
    found = statements(text)
    for first, relation, second in found.relations:
        assert relation in ("left of", "right of", "above", "below")
        assert first.most is None
        assert second.most is None

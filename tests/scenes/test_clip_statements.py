import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.clip_statements import SOMEHOW, Motion, clip_statements
from urm_ray.scenes.motion import MOTIONS, all_scenes
from urm_ray.scenes.statements import Claim

RED, BLUE, IT = Claim("red", "circle"), Claim("blue", "square"), Claim()
LEFT_AND_STILL = [Motion(RED, "moving left"), Motion(BLUE, "staying still")]


@pytest.mark.parametrize(
    "text",
    [
        "a red circle moving left and a blue square staying still",
        "The video shows a red circle moving left and a blue square staying still.",
        "A red circle is moving left. A blue square is not moving.",
        "A red circle moves to the left, and a blue square stands still.",
        "The red circle goes leftwards. The blue square is stationary.",
        "There is a red circle and a blue square. The circle is moving towards the left, the square doesn't move.",
        "red circle moving left, blue square still",
        "A red disc is still travelling slowly from the right to the left; a blue box remains motionless",
        "There is a circle and a square. The circle is red and drifts left. The square is blue and stays in place.",
        "a red circle is moving left and a still blue square",
    ],
)
def test_one_clip_in_many_words(text):
    found = clip_statements(text)
    assert list(found.motions) == LEFT_AND_STILL
    assert set(found.things.claims) == {RED, BLUE}
    assert (found.things.totals, found.things.says) == ((), None)


@pytest.mark.parametrize(
    ("words", "motion"),
    [
        ("moves right", "moving right"),
        ("is going up", "moving up"),
        ("goes upwards", "moving up"),
        ("rises", "moving up"),
        ("moves to the top", "moving up"),
        ("is falling", "moving down"),
        ("heads towards the bottom", "moving down"),
        ("moves from left to right", "moving right"),
        ("moves to the left of the video", "moving left"),
        ("is static", "staying still"),
        ("does not move", "staying still"),
        ("isn't moving", "staying still"),
        ("is at rest", "staying still"),
        ("is moving", SOMEHOW),
        ("is not still", SOMEHOW),
        ("moves to the left of a blue square", SOMEHOW),
    ],
)
def test_motions_in_other_words(words, motion):
    assert clip_statements(f"a red circle {words}").motions == (Motion(RED, motion),)


@pytest.mark.parametrize(
    ("text", "motions"),
    [
        ("left", [Motion(IT, "moving left")]),
        ("To the right.", [Motion(IT, "moving right")]),
        ("Up. The video shows a red circle.", [Motion(IT, "moving up")]),
        ("It is moving left.", [Motion(IT, "moving left")]),
        ("staying still", [Motion(IT, "staying still")]),
        ("It isn't moving left.", [Motion(IT, "moving left", True)]),
        ("nothing moves left", [Motion(IT, "moving left", True)]),
        ("a red circle. moving left", [Motion(RED, "moving left")]),
        ("The red circle does not move up", [Motion(RED, "moving up", True)]),
        ("No, there is no red circle moving up.", [Motion(Claim("red", "circle", 0, 0), "moving up", True)]),
        ("two red circles moving left", [Motion(Claim("red", "circle", 2, 2), "moving left")]),
        ("two moving red circles", [Motion(Claim("red", "circle", 2, 2), SOMEHOW)]),
        ("a red circle and a blue square moving left", [Motion(BLUE, "moving left")]),
        ("a red circle and a blue square are moving left", [Motion(RED, "moving left"), Motion(BLUE, "moving left")]),
        ("A red circle and a blue square. Both go up.", [Motion(RED, "moving up"), Motion(BLUE, "moving up")]),
        ("a red circle moving up and a red circle moving up", [Motion(Claim("red", "circle", 2), "moving up")]),
        ("A red circle moves up. The red circle is moving up.", [Motion(RED, "moving up")]),
        ("a red circle left of a blue square", []),
        ("a red circle in the left of the video", []),
    ],
)
def test_what_is_said_of_what(text, motions):
    assert list(clip_statements(text).motions) == motions


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("A red circle is moving left. A red circle is moving up.", 2),
        ("a red circle moving left and a red circle moving up", 2),
        ("A red circle is moving left. The red circle is moving up.", 1),
        ("a red circle moving left and then it moves up", 1),
        ("A red circle is moving left. A red circle is moving left.", 1),
        ("a red circle moving left. There is no red circle moving up.", 1),
    ],
)
def test_things_that_move_in_different_ways_are_different_things(text, number):
    assert clip_statements(text).things.claims == (Claim("red", "circle", number),)


def test_that_none_moves_so_does_not_say_that_there_is_none():
    assert clip_statements("No, there is no red circle moving up.").things.claims == ()
    assert clip_statements("There is no red circle.").things.claims == (Claim("red", "circle", 0, 0),)


def test_the_first_sentence_is_kept_apart():
    found = clip_statements("It is a red circle. The video shows a blue square moving up.")
    assert found.first == (Motion(RED, None),)
    assert clip_statements("A red circle is moving up. A blue square.").first == (Motion(RED, "moving up"),)


@pytest.mark.parametrize("text", ["", "...", "The video is sharp", "the left side", "asdf"])
def test_a_text_that_says_nothing(text):
    assert clip_statements(text).nothing


@given(st.sampled_from(all_scenes()))
def test_every_caption_says_its_scene(scene):
    found = clip_statements(scene.caption())
    moves = {(m.claim.colour, m.claim.shape, m.motion): m.claim.least for m in found.motions}
    things = {(c.colour, c.shape): c.least for c in found.things.claims}
    wanted = [(m.thing.colour, m.thing.shape, m.motion) for m in scene.movers]
    assert moves == {move: wanted.count(move) for move in wanted}
    assert things == {thing: [w[:2] for w in wanted].count(thing) for thing in {w[:2] for w in wanted}}


WORDS = st.sampled_from(
    re.findall(
        r"\S+",
        "a the no not it is are both two one red blue circle squares cross video move moves moving left right up to "
        "still staying goes nothing left of above and with they falls . , ; it's doesn't 3 < >",
    )
)


@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=14).map(" ".join)))
def test_no_text_breaks_the_reader(text):
    found = clip_statements(text)
    assert {m.motion for m in found.motions} <= {*MOTIONS, SOMEHOW}
    assert all(claim.colour or claim.shape for claim in found.things.claims)

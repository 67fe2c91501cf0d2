import math
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from urm_ray.judge.numerals import Found, number_at

NUMBERS = st.decimals(-1000, 1000, allow_nan=False, places=3)


CLOSED = st.sampled_from(["", ".", ".\n", "\n", " because it is dark", ", as asked", " (good)", "</b>", " - good"])
GLUED = st.sampled_from("\u0663\u096a\uff15\u00b2\u00bd%,/eE:~'x+-_") | st.characters(categories=["Nd", "No", "L"])


@given(NUMBERS, CLOSED)
def test_a_number_is_read_exactly(value, behind):
    assert number_at(f"Score: {value}{behind}", 6) == Found(float(value))


@given(NUMBERS, GLUED, st.text(max_size=8))
def test_a_number_that_is_a_part_of_something_is_never_taken_for_the_whole(value, behind, more):
    assume(not ("0" <= behind <= "9"))
    found = number_at(f"{value}{behind}{more}", 0)
    assert found.value in (None, float(value))
    if behind.isalnum() or behind in "%/eE~x+-_" or (behind == "," and more[:1].isalnum()):
        assert found.value is None


@given(st.text(max_size=20), st.integers(0, 25))
def test_no_text_breaks_it(text, place):
    found = number_at(text, place)
    assert found.value is None or found.problem is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        (" \n 4", 4),
        ("+0.5", 0.5),
        ("-0.5", -0.5),
        ("\u22120.5", -0.5),
        (".5", 0.5),
        ("4/5", 4),
        ("4 out of 5", 4),
        ("4 (out of 5)", 4),
        ("4.0/5.0", 4),
        ("3. Two dogs", 3),
        ("3; 2 dogs", 3),
    ],
)
def test_ways_to_write_a_number(text, value):
    assert number_at(text, 0, 5) == Found(value)


OTHER = """8/10 | 4 out of 10 | 4 out of | 4/ | 3,67 | 3, 67 | 3 ,67 | 3.4.5 | 1e1 | 5% | 5 % | 3-4 | 3 - 4 | 3 to 4
3 or 4 | 3 and a half | 3\u00bd | 3 1/2 | \u0663 | \uff14 | 4\u0663 | \u00b2 | 3 point five | 3 dogs | 3 of them
4 \u00b1 1 | 4 ~ 5"""


@pytest.mark.parametrize(
    "text", [*(one.strip() for one in re.split(r"[|\n]", OTHER)), "\n1. The first dog", "\n2 dogs"]
)
def test_what_may_be_another_number_is_a_problem(text):
    found = number_at(text, 0, 5)
    assert found.value is None
    assert found.problem


@pytest.mark.parametrize("text", ["", "  ", "three", "n/a", "- 3", "\u20133", "X", "(3)", "~3"])
def test_where_no_number_stands_there_is_none(text):
    assert number_at(text, 0) == Found()


@pytest.mark.parametrize("text", ["2 cats", "2 (cats)", "2 because", "2, 3"])
def test_a_bare_number_has_nothing_behind_it(text):
    assert number_at(text, 0, bare=True).problem
    assert number_at("2.\n3 cats", 0, bare=True) == Found(2)


def test_a_number_too_large_for_a_float_is_infinite_and_so_on_no_scale():
    assert number_at("9" * 400, 0).value == math.inf

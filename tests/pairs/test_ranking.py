import pytest
from helpers import pair_verdict
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.pairs.ranking import Comparison, adjacent, asked_orders, compare

ANSWERS = ("first", "second", "tie")
FAILURES = ("unparsed", "refused", "media_error")


def both(outcome: str, swapped: str) -> Comparison:
    """The comparison of candidates 4 and 7, asked as (4, 7) and as (7, 4)."""
    return compare([pair_verdict(4, 7, outcome), pair_verdict(7, 4, swapped)])


def test_adjacent_pairs_are_the_published_ones():
    assert adjacent(10) == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


@given(st.integers(0, 40))
def test_adjacent_pairs_use_every_candidate_once_and_none_that_is_not_there(count):
    used = [i for pair in adjacent(count) for i in pair]
    assert used == list(range(count - count % 2))


def test_both_orders_stand_next_to_each_other():
    assert asked_orders([(0, 1), (2, 3)], both=True) == [(0, 1), (1, 0), (2, 3), (3, 2)]
    assert asked_orders([(0, 1), (2, 3)], both=False) == [(0, 1), (2, 3)]


@pytest.mark.parametrize(
    ("outcome", "swapped", "expected"),
    [
        ("first", "second", Comparison("win", 4, 7)),
        ("second", "first", Comparison("win", 7, 4)),
        ("tie", "tie", Comparison("tie")),
        ("first", "first", Comparison("order_disagreement")),
        ("second", "second", Comparison("order_disagreement")),
        ("first", "tie", Comparison("order_disagreement")),
        ("tie", "second", Comparison("order_disagreement")),
    ],
)
def test_a_win_takes_the_same_winner_in_both_orders(outcome, swapped, expected):
    assert both(outcome, swapped) == expected


@pytest.mark.parametrize(("outcome", "expected"), [("first", (4, 7)), ("second", (7, 4)), ("tie", (None, None))])
def test_one_order_decides_alone_where_only_one_was_asked(outcome, expected):
    comparison = compare([pair_verdict(4, 7, outcome)])
    assert (comparison.winner, comparison.loser) == expected


@given(st.sampled_from(ANSWERS + FAILURES), st.sampled_from(FAILURES), st.booleans())
def test_no_answer_is_neither_a_win_nor_a_tie(one, failure, swapped):
    # Defect 5: garbage, refusals and ties were wins for candidate 1.
    comparison = both(failure, one) if swapped else both(one, failure)
    assert comparison.result == ("media_error" if "media_error" in (one, failure) else "unparsed")
    assert comparison.winner is None
    assert comparison.loser is None


@given(st.sampled_from(ANSWERS + FAILURES), st.sampled_from(ANSWERS + FAILURES))
def test_who_wins_does_not_depend_on_which_order_was_asked_first(outcome, swapped):
    again = compare([pair_verdict(7, 4, swapped), pair_verdict(4, 7, outcome)])
    assert again == both(outcome, swapped)


@given(st.sampled_from(ANSWERS + FAILURES), st.sampled_from(ANSWERS + FAILURES))
def test_a_judge_that_looks_at_places_only_wins_nothing(outcome, swapped):
    if outcome == swapped != "tie":
        assert both(outcome, swapped).winner is None


def test_an_outcome_that_nobody_knows_is_not_a_verdict():
    assert both("Image 1", "Image 1").result == "unparsed"

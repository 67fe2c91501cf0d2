import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_benchmarks.predictions import row, verdict

from urm_ray.evaluation.calls import both_orders, call, four_way_right, judgements, merged, outcomes, three_way


@pytest.mark.parametrize(
    ("shown_first", "outcome", "meant"),
    [
        (0, "first", "first"),
        (0, "second", "second"),
        (1, "first", "second"),
        (1, "second", "first"),
        (0, "tie", "tie"),
        (1, "tie", "tie"),
        (0, "unparsed", None),
        (1, "refused", None),
        (1, "media_error", None),
    ],
)
def test_a_verdict_is_turned_to_the_benchmarks_own_order(shown_first, outcome, meant):
    assert call(verdict(shown_first, outcome)) == meant


def test_both_orders_are_told_apart_by_what_was_shown_first_and_not_by_their_place():
    turned = row("first", "first", "tie")
    turned["pair_verdicts"].reverse()
    assert both_orders(turned) == both_orders(row("first", "first", "tie")) == ("first", "tie")


def test_an_order_that_was_not_asked_is_an_error():
    with pytest.raises(KeyError):
        both_orders(row("first", "first", "first", pair_verdicts=[verdict(0, "first")]))


@pytest.mark.parametrize(
    ("forward", "reverse", "together"),
    [
        ("first", "first", "first"),
        ("second", "second", "second"),
        ("tie", "tie", "tie"),
        ("first", "second", "tie"),
        ("first", "tie", "tie"),
        ("first", "unparsed", None),
        ("refused", "media_error", None),
    ],
)
def test_two_orders_that_disagree_are_a_tie_and_a_missing_answer_is_none(forward, reverse, together):
    assert merged(row("first", forward, reverse)) == together


@pytest.mark.parametrize(
    ("label", "outcome", "text", "right"),
    [
        ("first", "first", None, True),
        ("first", "second", None, False),
        ("tie_good", "tie", None, True),  # a plain A=B is right for both kinds, as in the official rule
        ("tie_bad", "tie", "[[A=B]]", True),
        ("tie_good", "tie", "so [[A=B=Good]]", True),
        ("tie_bad", "tie", "so [[A=B=Good]]", False),
        ("tie_bad", "tie", "[[A=B=Bad]]", True),
        ("tie_good", "tie", "[[A=B=Bad]]", False),
        ("tie_good", "tie", "[[A=B=Good]] or [[A=B=Bad]]", True),
        ("tie_good", "first", "[[A=B=Good]]", False),
        ("tie_good", "unparsed", "[[A=B=Good]]", False),
        ("first", "tie", None, False),
    ],
)
def test_the_four_way_rule_of_genai_bench(label, outcome, text, right):
    asked = row(label, "first", "unparsed")
    asked["pair_verdicts"][0] = verdict(0, outcome, text)
    assert four_way_right(asked) is right


def test_the_four_way_rule_knows_the_order_with_the_left_first_alone():
    assert four_way_right(row("first", "first", "second"))
    assert not four_way_right(row("first", "second", "first"))


def test_kinds_of_ties_are_one_in_three_ways():
    assert [three_way(label) for label in ("first", "second", "tie", "tie_good", "tie_bad")] == [
        "first",
        "second",
        "tie",
        "tie",
        "tie",
    ]


def test_judgements_come_in_orders_that_the_id_draws():
    many = [judgements(row("first", "first", "second", number), 9, 0) for number in range(200)]
    assert all(len(said) == 9 and set(said) <= {"first", "second"} for said in many)
    assert many[0] == judgements(row("first", "first", "second", 0), 9, 0)
    assert len({tuple(said) for said in many}) > 100
    share = sum(said.count("first") for said in many) / (9 * len(many))
    assert 0.45 < share < 0.55


def test_other_seeds_draw_other_orders():
    asked = row("first", "first", "second")
    assert len({tuple(judgements(asked, 9, seed)) for seed in range(20)}) > 10


def test_of_several_answers_in_an_order_each_is_taken_in_turn():
    said = [*(verdict(0, outcome) for outcome in ("first", "tie", "second")), verdict(1, "unparsed")]
    asked = row("first", "first", "first", pair_verdicts=said)
    forward = [one for one in judgements(asked, 40, 0) if one is not None]
    assert forward[:6] == ["first", "tie", "second"] * 2


@given(st.integers(1, 30), st.integers(0, 9))
def test_a_judge_that_says_the_same_in_both_orders_has_one_judgement(count, seed):
    assert judgements(row("first", "second", "second"), count, seed) == ["second"] * count


def test_outcomes_are_counted_as_they_were_given():
    found = outcomes([row("first", "first", "unparsed"), row("tie", "refused", "tie")])
    assert found == {"first": 1, "second": 0, "tie": 1, "unparsed": 1, "refused": 1, "media_error": 0}

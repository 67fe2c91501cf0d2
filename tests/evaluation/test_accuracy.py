"""Figures of pairs against sums written out, on answers of any kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_benchmarks.predictions import row, rows, swapped

from urm_ray.evaluation.accuracy import (
    as_merged,
    counted,
    of_answered,
    over_orders,
    pair_figures,
    per_cluster,
    tau_columns,
)

SHARES = ("tau", "diff", "tau_merged", "diff_merged", "order_agreement", "first_position")
TIES = ("tie", "tie_good", "tie_bad")


def value(found):
    return found["value"]


def figures(asked):
    return pair_figures(asked, 0, 100)


def meant(one):
    """(forward, reverse) in the item's own order, written out."""
    found = {}
    for verdict in one["pair_verdicts"]:
        own = ["first", "second"] if verdict["first"] == 0 else ["second", "first"]
        found[verdict["first"]] = {"first": own[0], "second": own[1], "tie": "tie"}.get(verdict["outcome"])
    return found[0], found[1]


def test_the_papers_definition_of_tau_and_diff():
    """c + c_t of N, and c of N - T (paper's scripts: a tie where there is none is wrong in both)."""
    asked = [
        row("first", "first", "first", 0),
        row("second", "first", "first", 1),
        row("first", "tie", "tie", 2),
        row("tie_good", "tie", "tie", 3),
        row("tie_bad", "first", "first", 4),
    ]
    found = figures(asked)
    assert value(found["tau"]) == pytest.approx(2 / 5)
    assert value(found["diff"]) == pytest.approx(1 / 3, abs=1e-6)
    assert (found["tau"]["n"], found["diff"]["n"], found["human_ties"]) == (5, 3, 2)


@given(rows())
def test_every_figure_is_the_sum_written_out(asked):
    found = figures(asked)
    label = ["tie" if one["labels"][0]["label"] in TIES else one["labels"][0]["label"] for one in asked]
    said = [meant(one) for one in asked]
    right = [[answer == human for answer in both] for both, human in zip(said, label, strict=True)]
    together = [None if None in both else both[0] if both[0] == both[1] else "tie" for both in said]
    clear = [i for i, human in enumerate(label) if human != "tie"]
    every = range(len(asked))
    expected = {
        "tau": [sum(right[i]) / 2 for i in every],
        "diff": [sum(right[i]) / 2 for i in clear],
        "tau_merged": [together[i] == label[i] for i in every],
        "diff_merged": [together[i] == label[i] for i in clear],
        "order_agreement": [said[i][0] is not None and said[i][0] == said[i][1] for i in every],
    }
    for name, credits in expected.items():
        assert found[name]["n"] == len(credits)
        if credits:
            assert value(found[name]) == pytest.approx(sum(credits) / len(credits), abs=1e-6)
        else:
            assert value(found[name]) is None
    given_ = [v["outcome"] for one in asked for v in one["pair_verdicts"]]
    either = given_.count("first") + given_.count("second")
    assert found["first_position"]["n"] == either
    if either:
        assert value(found["first_position"]) == pytest.approx(given_.count("first") / either, abs=1e-6)


@given(rows())
def test_intervals_hold_their_values(asked):
    for name in SHARES:
        found = figures(asked)[name]
        if found["value"] is not None:
            low, high = found["ci95"]
            assert 0 <= low <= found["value"] + 1e-6 <= high + 2e-6 <= 1 + 2e-6


@given(rows(), st.randoms(use_true_random=False))
def test_the_order_of_items_does_not_matter(asked, dice):
    shuffled = list(asked)
    dice.shuffle(shuffled)
    assert figures(shuffled) == figures(asked)


@given(rows())
def test_naming_the_candidates_the_other_way_round_changes_nothing(asked):
    assert figures([swapped(one) for one in asked]) == figures(asked)


@given(rows())
def test_an_unanswered_question_is_wrong_and_never_right(asked):
    silent = [one | {"pair_verdicts": [v | {"outcome": "unparsed"} for v in one["pair_verdicts"]]} for one in asked]
    found = figures(silent)
    assert value(found["tau"]) == value(found["tau_merged"]) == value(found["order_agreement"]) == 0
    assert found["tau"]["n"] == len(asked)
    assert found["verdicts"]["unparsed"] == 2 * len(asked)


def test_saying_a_tie_where_no_text_could_be_read_would_pay():
    """32.8% of UnifiedReward's copy of GenAI-Bench video are ties: its scripts take what they cannot read for one."""
    votes = ["first"] * 619 + ["second"] * 651 + ["tie_bad"] * 404 + ["tie_good"] * 215
    silent = figures([row(vote, "unparsed", "unparsed", i) for i, vote in enumerate(votes)])
    tied = figures([row(vote, "tie", "tie", i) for i, vote in enumerate(votes)])
    assert value(silent["tau"]) == 0
    assert value(tied["tau"]) == pytest.approx(0.328, abs=5e-4)
    assert value(silent["diff"]) == value(tied["diff"]) == 0
    assert silent["human_ties"] == 619


def test_ties_that_are_counted_are_asked_about():
    """Counting ties in N and never asking about them, a perfect judge reaches 67.2% on that copy."""
    votes = ["first"] * 619 + ["second"] * 651 + ["tie"] * 619
    perfect = figures([row(vote, vote, vote, i) for i, vote in enumerate(votes)])
    assert value(perfect["tau"]) == value(perfect["diff"]) == 1
    reached = value(perfect["diff"]) * perfect["diff"]["n"] / perfect["tau"]["n"]
    assert reached == pytest.approx(0.672, abs=5e-4)


def test_a_judge_that_goes_by_place_alone_has_half_and_agrees_with_itself_never():
    """VL-RewardBench has the better answer first in 1,245 of 1,250: in one order this judge would have 99.6%."""
    asked = [row("first" if i < 1245 else "second", "first", "second", i) for i in range(1250)]
    found = figures(asked)
    assert value(found["tau"]) == 0.5
    assert value(found["tau_merged"]) == value(found["order_agreement"]) == 0
    assert value(found["first_position"]) == 1
    forward_alone = sum(one["pair_verdicts"][0]["outcome"] == one["labels"][0]["label"] for one in asked) / 1250
    assert forward_alone == 0.996


def test_intervals_are_wider_where_items_hang_together():
    free = [row("first", *["first" if i % 2 else "second"] * 2, number=i) for i in range(200)]
    bound = [one | {"cluster": f"c{i % 2}{i // 20}"} for i, one in enumerate(free)]
    widths = []
    for asked in (free, bound):
        low, high = counted(asked, over_orders, 0, 500)["ci95"]
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_a_perfect_judge_of_few_items_is_not_sure_to_be_perfect():
    found = counted([row("first", "first", "first", i) for i in range(10)], over_orders, 0, 500)
    assert found["value"] == 1
    assert found["ci95"] == pytest.approx([0.7225, 1.0], abs=1e-4)  # Wilson's for 10 of 10
    assert found["n"] == 10


@given(rows())
def test_answered_verdicts_are_those_with_a_call(asked):
    said = [(answer, one["labels"][0]["label"]) for one in asked for answer in meant(one) if answer]
    found = counted(asked, of_answered, 0, 100)
    assert found["n"] == len(said)
    if said:
        right = sum(answer == ("tie" if label in TIES else label) for answer, label in said)
        assert found["value"] == pytest.approx(right / len(said), abs=1e-6)


def test_counts_of_a_cluster_are_added_up():
    asked = [row("first", "first", "second", i, cluster="a") for i in range(3)] + [row("first", "first", "first", 3)]
    assert per_cluster(asked, over_orders) == [(1.5, 3), (1, 1)]
    assert per_cluster(asked, as_merged) == [(0, 3), (1, 1)]


def test_a_table_shows_both_readings():
    found = figures([row("first", "first", "second")])
    assert {name: one["value"] for name, one in tau_columns(found).items()} == {
        "tau": 0.5,
        "diff": 0.5,
        "tau, merged": 0.0,
        "diff, merged": 0.0,
    }

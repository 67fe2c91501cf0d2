import itertools
import math

import numpy as np
import pytest
from helpers import pair_verdict
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.pairs.strengths import SPREAD, share_of, strengths

SHARE = st.floats(0, 1)


@st.composite
def comparisons(draw, least=2) -> dict[tuple[int, int], float]:
    """Shares of wins of some of the pairs of some candidates."""
    count = draw(st.integers(least, 7))
    every = list(itertools.combinations(range(count), 2))
    asked = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    return {pair: draw(SHARE) for pair in asked}


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_of_one_pair_what_is_won_beyond_the_odds_is_what_the_prior_holds_back(share):
    found = strengths({(3, 7): share})
    assert found[3] == pytest.approx(-found[7])
    assert share - sigmoid(found[3] - found[7]) == pytest.approx(found[3] / SPREAD**2, abs=1e-8)


@given(comparisons())
def test_they_are_where_the_posterior_is_flat(shares):
    found = strengths(shares)
    assert set(found) == {i for pair in shares for i in pair}
    for index, strength in found.items():
        assert math.isfinite(strength)
        slope = -strength / SPREAD**2
        for (a, b), share in shares.items():
            if index in (a, b):
                won = share if index == a else 1 - share
                slope += won - sigmoid(strength - found[b if index == a else a])
        assert slope == pytest.approx(0, abs=1e-7)


@given(comparisons(), st.data())
def test_other_names_have_the_same_strengths(shares, data):
    names = sorted({i for pair in shares for i in pair})
    new = dict(zip(names, data.draw(st.permutations([10 + i for i in names])), strict=True))
    told = [((new[a], new[b]), share) for (a, b), share in shares.items()]
    flipped = data.draw(st.lists(st.booleans(), min_size=len(told), max_size=len(told)))
    other = dict((p[::-1], 1 - s) if flip else (p, s) for (p, s), flip in zip(told, flipped, strict=True))
    found, renamed = strengths(shares), strengths(other)
    assert {new[i]: s for i, s in found.items()} == pytest.approx(renamed, abs=2e-9)


@given(comparisons(), st.data())
def test_who_wins_more_is_never_the_weaker_for_it(shares, data):
    a, b = data.draw(st.sampled_from(sorted(shares)))
    more = shares | {(a, b): data.draw(st.floats(shares[a, b], 1))}
    before, after = strengths(shares), strengths(more)
    assert after[a] >= before[a] - 2e-9
    assert after[b] <= before[b] + 2e-9
    # And by as much as anyone is the better for it.
    assert after[a] - before[a] >= max(after[i] - before[i] for i in before) - 4e-9


@given(comparisons(), st.data())
def test_a_pair_more_that_is_won_makes_nobody_weaker(shares, data):
    winner = data.draw(st.sampled_from(sorted({i for pair in shares for i in pair})))
    before, after = strengths(shares), strengths(shares | {(winner, 99): 1.0})
    assert after[winner] >= before[winner]
    assert after[99] < 0


def test_who_wins_all_is_the_strongest_and_finite_and_who_loses_all_the_weakest():
    order = [4, 2, 0, 3, 1]
    shares = {(a, b): float(order.index(a) < order.index(b)) for a, b in itertools.combinations(range(5), 2)}
    found = strengths(shares)
    assert sorted(found, key=lambda i: -found[i]) == order
    assert 0 < max(found.values()) < 5
    assert found[4] == pytest.approx(-found[1])
    assert found[0] == 0


def test_equals_are_equal_to_the_last_digit():
    circle = {(0, 1): 0.9, (1, 2): 0.9, (2, 3): 0.9, (0, 3): 0.1}
    assert set(strengths(circle).values()) == {0.0}
    ties = dict.fromkeys(itertools.combinations(range(6), 2), 0.5)
    assert set(strengths(ties).values()) == {0.0}
    apart = strengths({(0, 1): 0.8, (2, 3): 0.8, (4, 5): 0.3})
    assert (apart[0], apart[1]) == (apart[2], apart[3])


@given(comparisons(), comparisons())
def test_groups_that_never_met_know_nothing_of_each_other_and_have_the_mean_0(one, two):
    other = {(a + 50, b + 50): share for (a, b), share in two.items()}
    both, alone, apart = strengths(one | other), strengths(one), strengths(other)
    assert both == pytest.approx(alone | apart, abs=2e-9)
    assert sum(alone.values()) == pytest.approx(0, abs=1e-7)


def test_nothing_compared_is_nothing_known():
    assert strengths({}) == {}


def test_strengths_that_verdicts_were_drawn_from_are_found_again():
    dice = np.random.default_rng(0)
    true = dice.normal(size=40)
    pairs = list(itertools.combinations(range(40), 2))
    sure = {(a, b): sigmoid(true[a] - true[b]) for a, b in pairs}
    drawn = {pair: dice.binomial(9, share) / 9 for pair, share in sure.items()}
    for shares, least in ((sure, 0.999), (drawn, 0.97)):
        found = strengths(shares)
        assert np.corrcoef(true, [found[i] for i in range(40)])[0, 1] > least


def verdict(first: int, second: int, outcome: str, *chances: float) -> dict:
    found = pair_verdict(first, second, outcome)
    return found | dict(zip(("p_first", "p_second", "p_tie"), chances, strict=True)) if chances else found


def test_a_share_is_the_mean_of_both_orders():
    soft = [verdict(4, 7, "first", 0.7, 0.1, 0.2), verdict(7, 4, "first", 0.5, 0.3, 0.2)]
    assert share_of(soft, 4) == pytest.approx(((0.7 + 0.1) + (0.3 + 0.1)) / 2)
    assert share_of(soft, 7) == pytest.approx(1 - share_of(soft, 4))
    assert share_of(soft[:1], 4) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("outcomes", "share"),
    [(("first", "second"), 1.0), (("first", "first"), 0.5), (("tie", "tie"), 0.5), (("second", "tie"), 0.25)],
)
def test_decoded_answers_are_a_win_half_a_win_or_none(outcomes, share):
    assert share_of([verdict(4, 7, outcomes[0]), verdict(7, 4, outcomes[1])], 4) == share


@pytest.mark.parametrize("outcome", ["unparsed", "refused", "media_error"])
def test_a_pair_of_which_one_order_has_no_answer_says_nothing(outcome):
    assert share_of([verdict(4, 7, "first"), verdict(7, 4, outcome)], 4) is None
    assert share_of([], 4) is None

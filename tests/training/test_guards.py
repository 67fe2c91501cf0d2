import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.training.guards import CollapseGuard, TrainingError, need_finite, need_reference_start


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_stops_at_once_and_names_its_pairs(loss):
    with pytest.raises(TrainingError, match=r"micro-batch 7 is -?(nan|inf); its pairs are a, b"):
        need_finite(loss, 7, ["a", "b"])
    need_finite(1e30, 7, ["a", "b"])


def test_a_first_loss_that_is_not_ln_2_is_refused():
    need_reference_start(math.log(2) + 9e-4, 1e-3)
    for loss in (math.log(2) + 2e-3, math.log(2) - 2e-3):
        with pytest.raises(TrainingError, match="not ln 2: the reference is not the policy"):
            need_reference_start(loss, 1e-3)


EXCESS = st.sampled_from([-0.2, 0.4, 0.6, 3.0])


@given(st.lists(st.tuples(EXCESS, EXCESS), max_size=12), st.integers(0, 4))
def test_only_both_errors_together_and_for_long_enough_are_a_collapse(logs, patience):
    guard = CollapseGuard(0.5, patience)
    found = [guard.collapsed(winner, loser) for winner, loser in logs]
    both = "".join("x" if winner > 0.5 and loser > 0.5 else "." for winner, loser in logs)
    expected = [patience > 0 and both[: i + 1].endswith("x" * patience) for i in range(len(logs))]
    assert found == expected

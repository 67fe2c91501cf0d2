import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.training.guards import (
    CollapseGuard,
    TrainingError,
    forget_stop,
    need_finite,
    need_reference_start,
    until_stopped,
)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_a_number_stops_at_once_and_names_its_pairs(loss):
    with pytest.raises(TrainingError, match=r"micro-batch 7 is -?(nan|inf); its pairs are a, b: .*lower lr"):
        need_finite(loss, 7, ["a", "b"])
    need_finite(1e30, 7, ["a", "b"])


def test_a_first_loss_that_is_not_ln_2_is_refused():
    need_reference_start(math.log(2) + 9e-4, 1e-3)
    for loss in (math.log(2) + 2e-3, math.log(2) - 2e-3):
        with pytest.raises(TrainingError, match="not ln 2: the reference is not the policy"):
            need_reference_start(loss, 1e-3)


WORSE = st.sampled_from([-0.2, 0.4, 0.6, 3.0])


@given(st.lists(st.tuples(WORSE, WORSE), max_size=12), st.integers(0, 4))
def test_only_both_sides_together_and_for_long_enough_are_a_collapse(logs, patience):
    guard = CollapseGuard(0.5, patience, ("errors", "above"))
    both = "".join("x" if chosen > 0.5 and rejected > 0.5 else "." for chosen, rejected in logs)
    for step, sides in enumerate(logs):
        if patience and both[: step + 1].endswith("x" * patience):
            with pytest.raises(TrainingError):
                guard.check(*sides, step)
            return
        guard.check(*sides, step)


def test_a_collapse_is_told_with_what_to_do():
    guard = CollapseGuard(0.25, 2, ("denoising errors of winners and losers", "above"))
    guard.check(0.3, 0.3, 10)
    said = "at step 20 the denoising errors of winners and losers have both been more than 25% above .* for 2 logs"
    with pytest.raises(TrainingError, match=said + ".*lower lr, raise beta or take fewer steps"):
        guard.check(0.3, 0.3, 20)


def test_a_training_that_a_guard_has_stopped_is_not_tried_again_by_itself(tmp_path):
    calls = []

    def loop(settings):
        calls.append(settings)
        if len(calls) == 1:
            raise TrainingError("the loss is not a number: lower lr")

    settings = {"stage": str(tmp_path)}
    for _ in range(3):
        with pytest.raises(TrainingError, match="the loss is not a number: lower lr"):
            until_stopped(loop)(settings)
    assert calls == [settings]
    forget_stop(str(tmp_path))  # the same command again, by a person
    until_stopped(loop)(settings)
    assert calls == [settings] * 2


def test_a_worker_that_died_of_something_else_is_tried_again(tmp_path):
    calls = []

    def loop(settings):
        calls.append(settings)
        raise OSError("the node is gone")

    for _ in range(2):
        with pytest.raises(OSError, match="the node is gone"):
            until_stopped(loop)({"stage": str(tmp_path)})
    assert len(calls) == 2

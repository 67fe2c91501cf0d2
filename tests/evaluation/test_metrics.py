import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from urm_ray.evaluation.metrics import calibration_error, clustered, mean, ratio, share, spearman

NOTHING = {"value": None, "ci95": [None, None], "n": 0}


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval, written out."""
    z, p = 1.959963984540054, successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


@given(st.integers(1, 5000), st.data())
def test_a_share_has_wilsons_interval(n, data):
    successes = data.draw(st.integers(0, n))
    found = share(successes, n)
    assert found["n"] == n
    assert found["value"] == pytest.approx(successes / n, abs=1e-6)
    assert found["ci95"] == pytest.approx(wilson(successes, n), abs=2e-6)
    assert 0 <= found["ci95"][0] <= found["value"] <= found["ci95"][1] <= 1


def test_wilsons_interval_of_a_known_table():
    assert share(80, 100)["ci95"] == pytest.approx([0.7112, 0.8667], abs=1e-4)
    assert share(0, 10)["ci95"] == pytest.approx([0.0, 0.2775], abs=1e-4)


def test_nothing_has_no_value_and_is_not_zero():
    assert share(0, 0) == mean([], 0) == spearman([], [], 0) == NOTHING


def test_a_share_of_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="k"):
        share(3, 2)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.integers(0, 5))
def test_a_mean_lies_in_its_interval_and_is_the_same_every_time(values, seed):
    found = mean(values, seed, 200)
    assert found == mean(values, seed, 200)
    assert found["n"] == len(values)
    assert found["value"] == pytest.approx(np.mean(values), abs=1e-5)
    assert min(values) - 1e-5 <= found["ci95"][0] <= found["ci95"][1] <= max(values) + 1e-5


def test_the_interval_of_a_mean_is_that_of_scipys_bootstrap():
    values = np.random.default_rng(0).gamma(2, 1, 80)
    ours = mean(list(values), 1, 4000)["ci95"]
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=2).confidence_interval
    assert ours == pytest.approx([theirs.low, theirs.high], abs=0.03)


def test_the_interval_of_a_mean_holds_the_truth_19_times_of_20():
    dice = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        low, high = mean(list(dice.normal(2, 1, 60)), trial, 400)["ci95"]
        hits += low <= 2 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_more_prompts_make_a_narrower_interval():
    values = list(np.random.default_rng(0).normal(0, 1, 1600))
    few, many = (mean(values[:n], 0, 500)["ci95"] for n in (100, 1600))
    assert (few[1] - few[0]) / (many[1] - many[0]) == pytest.approx(4, rel=0.3)


COUNTS = st.lists(st.integers(0, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=30)


@given(COUNTS)
def test_a_ratio_is_all_hits_of_all_trials(counts):
    hits, trials = (sum(c[i] for c in counts) for i in (0, 1))
    found = ratio(counts, 0, 50)
    if not trials:
        assert found == NOTHING
    else:
        assert (found["value"], found["n"]) == (pytest.approx(hits / trials, abs=1e-6), trials)
        assert 0 <= found["ci95"][0] <= found["ci95"][1] <= 1


def test_trials_that_hang_together_are_worth_less_than_free_ones():
    dice = np.random.default_rng(0)
    free = [(int(dice.random() < 0.5), 1) for _ in range(1000)]
    bound = [(10 * hit, 10) for hit, _ in free[:100]]
    (low, high), (lowest, highest) = ratio(free, 0)["ci95"], ratio(bound, 0)["ci95"]
    assert (highest - lowest) / (high - low) == pytest.approx(math.sqrt(10), rel=0.2)
    assert share(sum(hit for hit, _ in free), 1000)["ci95"] == pytest.approx([low, high], abs=0.005)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_a_rank_correlation_is_scipys(points):
    x, y = (list(values) for values in zip(*points, strict=True))
    found = spearman(x, y, 0, 50)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found == NOTHING | {"n": len(x)}
    else:
        assert found["value"] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-6)
        assert found["n"] == len(x)
        assert not any(v is None or math.isnan(v) for v in found["ci95"])


def test_the_interval_of_a_rank_correlation_holds_the_truth():
    dice = np.random.default_rng(0)
    truth = 6 / math.pi * math.asin(0.6 / 2)  # of a normal pair whose correlation is 0.6
    hits = 0
    for trial in range(80):
        x = dice.normal(size=100)
        low, high = spearman(list(x), list(0.6 * x + 0.8 * dice.normal(size=100)), trial, 200)["ci95"]
        hits += low <= truth <= high
    assert hits / 80 >= 0.85


def test_ranks_and_not_values_count():
    x = [1.0, 2.0, 3.0, 4.0, 1000.0]
    assert spearman(x, [v**3 for v in x], 0, 50)["value"] == 1.0
    assert spearman(x, [-v for v in x], 0, 50)["value"] == -1.0


@given(COUNTS)
def test_units_that_differ_are_resampled_and_others_have_wilsons_interval(counts):
    found = clustered(counts, 0, 50)
    shares = [hits / trials for hits, trials in counts if trials]
    if len(set(shares)) == 1:
        value, n = shares[0], len(shares)
        assert (found["value"], found["n"]) == (pytest.approx(value, abs=1e-6), sum(trials for _, trials in counts))
        assert found["ci95"] == pytest.approx(wilson(value * n, n), abs=2e-6)
    else:
        assert found == ratio([c for c in counts if c[1]], 0, 50)


def test_a_judge_that_is_right_as_often_as_it_says_is_calibrated():
    said = [(0.9, True)] * 9 + [(0.9, False)] + [(0.6, True)] * 6 + [(0.6, False)] * 4
    assert calibration_error(said, 0, 50)["value"] == pytest.approx(0, abs=1e-6)


def test_calibration_error_by_hand():
    # 10 answers at 0.9 of which 5 are right, 30 at 0.5 of which 21 are: (10 * 0.4 + 30 * 0.2) / 40.
    said = [(0.9, n < 5) for n in range(10)] + [(0.5, n < 21) for n in range(30)]
    found = calibration_error(said, 0, 200)
    assert found["value"] == pytest.approx(0.25, abs=1e-6)
    assert found["ci95"][0] <= 0.25 <= found["ci95"][1]
    assert found["n"] == 40


def test_confident_and_doubtful_answers_do_not_make_up_for_each_other():
    said = [(1.0, False), (0.0, True)] * 10
    assert calibration_error(said, 0, 50)["value"] == 1.0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_calibration_error_lies_between_the_mean_gap_and_one(said, bins):
    found = calibration_error(said, 0, 20, bins)
    gap = abs(sum(p - right for p, right in said)) / len(said)
    assert gap - 1e-6 <= found["value"] <= 1
    assert found["ci95"][0] <= found["value"] <= found["ci95"][1]
    assert calibration_error([], 0) == NOTHING

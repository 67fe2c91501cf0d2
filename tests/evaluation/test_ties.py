"""Thresholds of ties: the exact best one, and that it never comes from the pairs that are reported."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_benchmarks.predictions import point, scored, swapped

from urm_ray.evaluation.ties import NEVER, best_threshold, fold_of, hits, scalar_figures

LABELS = st.sampled_from([1.0, -1.0, 0.0])
MARGINS = st.one_of(st.integers(-4, 4).map(lambda n: n / 2), st.floats(-3, 3), st.just(float("nan")))
PAIRS = st.lists(st.tuples(LABELS, MARGINS), min_size=1, max_size=40)


def arrays(pairs):
    return tuple(np.array(column, float) for column in zip(*pairs, strict=True))


def right(label, margin, threshold):
    """The table of VideoAlign's suff_stats, written out: C and Thm are right."""
    if margin != margin:
        return False
    if label == 0:
        return abs(margin) <= threshold
    return abs(margin) > threshold and label * margin > 0


@given(PAIRS, st.floats(-1, 4))
def test_hits_are_those_of_the_table(pairs, threshold):
    labels, margins = arrays(pairs)
    assert hits(labels, margins, threshold).tolist() == [right(a, b, threshold) for a, b in pairs]


@given(PAIRS)
def test_the_best_threshold_is_found_among_all(pairs):
    labels, margins = arrays(pairs)
    able = [NEVER, *sorted({abs(m) for m in margins.tolist() if m == m})]
    totals = [sum(right(a, b, threshold) for a, b in pairs) for threshold in able]
    assert best_threshold(labels, margins) == able[totals.index(max(totals))]


def test_the_worked_example_of_videoalign():
    """calc_accuracy.py ends with nine pairs, counted by hand: they differ by .8 .1 -.4 .3 -.3 -.1 .3 -.1 -.1. With
    no ties five of six are right; a threshold of .1 gains the human ties at .1 and .1 and loses the eighth pair."""
    labels = np.array([1, -1, 0, 1, -1, 0, 1, -1, 0], float)
    a = np.array([0.9, -0.7, 0.1, 0.8, -0.6, 0.2, 0.7, -0.5, 0.3])
    b = np.array([0.1, -0.8, 0.5, 0.5, -0.3, 0.3, 0.4, -0.4, 0.4])
    margins = np.round(a - b, 6)
    totals = {t: int(hits(labels, margins, t).sum()) for t in (NEVER, 0.1, 0.3, 0.4, 0.8)}
    assert totals == {NEVER: 5, 0.1: 6, 0.3: 3, 0.4: 4, 0.8: 3}
    assert best_threshold(labels, margins) == 0.1
    without = hits(labels, margins, NEVER)[labels != 0]
    assert (int(without.sum()), len(without)) == (5, 6)


def figures(rows):
    return scalar_figures(rows, 0, 100)


def test_equal_scores_are_a_tie_only_above_the_lowest_threshold():
    labels, margins = np.array([0.0, 1.0]), np.array([0.0, 0.0])
    assert hits(labels, margins, NEVER).tolist() == [False, False]
    assert hits(labels, margins, 0.0).tolist() == [True, False]


@st.composite
def scored_rows(draw):
    found = []
    for number in range(draw(st.integers(1, 40))):
        label = draw(st.sampled_from(["first", "second", "tie_good"]))
        scores = [draw(st.one_of(st.none(), st.integers(1, 5).map(float))) for _ in range(2)]
        found.append(scored(label, *scores, number, cluster=f"c{draw(st.integers(0, 12))}"))
    return found


def split(rows):
    halves = [[one for one in rows if fold_of(one["cluster"]) == half] for half in (0, 1)]
    signs = {"first": 1.0, "second": -1.0}
    pairs = [[(signs.get(r["labels"][0]["label"], 0.0), margin_of(r)) for r in half] for half in halves]
    return halves, pairs


def margin_of(one):
    first, second = (v["score"] for v in one["point_verdicts"])
    return float("nan") if first is None or second is None else first - second


@given(scored_rows())
def test_each_half_is_called_with_the_threshold_of_the_other(rows):
    found = figures(rows)
    _, pairs = split(rows)
    if not all(pairs):
        assert found["tau"] == {"value": None, "ci95": [None, None], "n": len(rows)}
        assert found["thresholds"] is None
        return
    thresholds = [best_threshold(*arrays(pairs[1])), best_threshold(*arrays(pairs[0]))]
    assert found["thresholds"] == thresholds
    hit = sum(right(a, b, thresholds[half]) for half in (0, 1) for a, b in pairs[half])
    assert found["tau"]["value"] == pytest.approx(hit / len(rows), abs=1e-6)
    assert found["tau"]["n"] == len(rows)


@given(scored_rows())
def test_tuned_on_the_reported_pairs_a_judge_is_never_worse(rows):
    found = figures(rows)
    if found["tau"]["value"] is not None:
        assert found["tau_tuned"]["value"] >= found["tau"]["value"] - 1e-6
    _, pairs = split(rows)
    every = pairs[0] + pairs[1]
    best = max(sum(right(a, b, t) for a, b in every) for t in (NEVER, 0, 1, 2, 3, 4))
    assert found["tau_tuned"]["value"] == pytest.approx(best / len(rows), abs=1e-6)


def test_scores_that_mean_nothing_gain_by_tuning_and_not_by_ours():
    dice = np.random.default_rng(0)
    taus, tuned = [], []
    for trial in range(20):
        rows = []
        for number in range(60):
            label = ["first", "second", "tie"][int(dice.integers(3))]
            rows.append(scored(label, *dice.normal(size=2).tolist(), number, cluster=f"t{trial} {number}"))
        found = figures(rows)
        taus.append(found["tau"]["value"])
        tuned.append(found["tau_tuned"]["value"])
    assert np.mean(taus) == pytest.approx(1 / 3, abs=0.03)
    assert np.mean(tuned) > np.mean(taus) + 0.02


@given(scored_rows())
def test_accuracy_without_ties_has_no_threshold(rows):
    found = figures(rows)
    clear = [one for one in rows if one["labels"][0]["label"] != "tie_good"]
    hit = sum(margin_of(one) * {"first": 1, "second": -1}[one["labels"][0]["label"]] > 0 for one in clear)
    assert found["diff"]["n"] == len(clear)
    assert found["human_ties"] == len(rows) - len(clear)
    if clear:
        assert found["diff"]["value"] == pytest.approx(hit / len(clear), abs=1e-6)


@given(scored_rows())
def test_the_order_of_items_and_of_candidates_does_not_matter(rows):
    assert figures(rows[::-1]) == figures(rows)
    assert figures([swapped(one) for one in rows]) == figures(rows)


def test_pairs_of_a_cluster_are_in_one_half():
    assert {fold_of("a prompt") for _ in range(3)} == {fold_of("a prompt")}
    assert 0.4 < sum(fold_of(f"prompt {i}") for i in range(1000)) / 1000 < 0.6


def test_a_dimension_has_its_own_labels_and_scores():
    labels = [{"dimension": "overall", "label": "first"}, {"dimension": "MQ", "label": "second"}]
    said = [point(0, 5.0), point(1, 1.0), point(0, 5.0, "MQ"), point(1, 1.0, "MQ")]
    rows = [scored("first", 5.0, 1.0, i) | {"labels": labels, "point_verdicts": said} for i in range(8)]
    rows.append(scored("first", 5.0, 1.0, 9))  # nobody labelled its motion
    motion = scalar_figures(rows, 0, 100, "MQ")
    assert (motion["diff"]["value"], motion["diff"]["n"]) == (0.0, 8)
    assert (scalar_figures(rows, 0, 100)["diff"]["value"], figures(rows)["diff"]["n"]) == (1.0, 9)


def test_what_was_not_scored_is_counted_and_wrong():
    found = figures([scored("first", 2.0, None, i) for i in range(6)])
    assert (found["unscored"], found["diff"]["value"], found["tau_tuned"]["value"]) == (6, 0.0, 0.0)

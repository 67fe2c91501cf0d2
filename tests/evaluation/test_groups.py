"""Groups and wholes, on published rows of VL-RewardBench (paper, Table III, and the cards of later judges)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.evaluation.groups import GroupError, check_figures, check_whole, weighted_mean
from urm_ray.evaluation.metrics import clustered, macro

OFFICIAL = {"general": 183, "hallucination": 749, "reasoning": 318}
WITHOUT_PREFIX = {"general": 631, "hallucination": 301, "reasoning": 318}
"""As UnifiedReward's scripts count: the 448 ids that begin with "hallucination" are general."""
ROUNDING = 0.1
"""Of groups and whole, each printed with one decimal."""


def groups(general: float, hallucination: float, reasoning: float) -> dict[str, float]:
    return {"general": general, "hallucination": hallucination, "reasoning": reasoning}


OURS = [  # (groups, overall) of rows that were counted with the official sizes
    (groups(50.8, 72.5, 64.2), 67.2),  # Gemini-1.5-Pro
]
THEIRS = [  # of rows that were counted without the prefix
    (groups(47.4, 38.5, 53.8), 46.9),  # LLaVA-Critic-7B
    (groups(82.1, 60.8, 65.7), 72.8),  # Qwen2.5VL-3b
    (groups(84.2, 68.4, 73.6), 77.7),  # Qwen2.5VL-7b
]
NEITHER = (groups(60.6, 78.4, 60.5), 66.1)  # UnifiedReward (OV-7B)


@pytest.mark.parametrize(("values", "whole"), OURS)
def test_rows_of_the_official_groups_go_together(values, whole):
    check_whole(values, OFFICIAL, whole, ROUNDING)
    with pytest.raises(GroupError, match="631"):
        check_whole(values, WITHOUT_PREFIX, whole, ROUNDING)


@pytest.mark.parametrize(("values", "whole"), THEIRS)
def test_rows_of_mistaken_groups_are_found_out(values, whole):
    check_whole(values, WITHOUT_PREFIX, whole, ROUNDING)
    with pytest.raises(GroupError, match="183"):
        check_whole(values, OFFICIAL, whole, ROUNDING)


def test_a_row_that_fits_no_groups_is_found_out_with_what_it_should_be():
    values, whole = NEITHER
    assert weighted_mean(values, OFFICIAL) == pytest.approx(71.2, abs=0.05)
    assert weighted_mean(values, WITHOUT_PREFIX) == pytest.approx(64.9, abs=0.05)
    for sizes in (OFFICIAL, WITHOUT_PREFIX):
        with pytest.raises(GroupError, match=r"66\.1 is given"):
            check_whole(values, sizes, whole, ROUNDING)


def test_macro_is_the_mean_of_groups_whatever_their_sizes():
    """66.5 = (60.6 + 78.4 + 60.5) / 3 is the paper's macro of a row whose overall is 66.1."""
    parts = [[(share * size / 100, size)] for share, size in zip(NEITHER[0].values(), OFFICIAL.values(), strict=True)]
    assert 100 * macro(parts, 0, 100)["value"] == pytest.approx(66.5, abs=0.05)


def test_figures_of_other_groups_than_the_sizes_are_no_figures_of_a_whole():
    with pytest.raises(GroupError, match="do not go with"):
        weighted_mean({"general": 0.5}, OFFICIAL)
    with pytest.raises(GroupError):
        weighted_mean({}, {})


COUNTS = st.lists(st.booleans(), min_size=0, max_size=12)


@given(st.lists(COUNTS, min_size=1, max_size=4))
def test_our_own_groups_and_whole_go_together(parts):
    found = {str(i): clustered([(hit, 1) for hit in part], 0, 50) for i, part in enumerate(parts)}
    whole = clustered([(hit, 1) for part in parts for hit in part], 0, 50)
    check_figures(found, whole)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=12), min_size=2, max_size=4))
def test_an_item_counted_in_the_wrong_group_is_found_out(parts):
    found = {str(i): clustered([(hit, 1) for hit in part], 0, 50) for i, part in enumerate(parts)}
    whole = clustered([(hit, 1) for part in parts[1:] for hit in part], 0, 50)
    with pytest.raises(GroupError):
        check_figures(found, whole)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=12), min_size=1, max_size=4))
def test_macro_is_written_out_and_lies_in_its_interval(parts):
    found = macro([[(hit, 1) for hit in part] for part in parts], 0, 100)
    assert found["value"] == pytest.approx(sum(sum(p) / len(p) for p in parts) / len(parts), abs=1e-6)
    assert 0 <= found["ci95"][0] <= found["value"] + 1e-6 <= found["ci95"][1] + 2e-6 <= 1 + 2e-6
    assert found["n"] == sum(map(len, parts))


def test_macro_of_a_group_that_is_not_there_is_none():
    """The mean of the other groups would be another figure under the same name."""
    assert macro([[(1, 1)], []], 0, 100) == {"value": None, "ci95": [None, None], "n": 1}


def test_macro_of_one_group_has_the_interval_of_that_group():
    counts = [(i % 3 > 0, 1) for i in range(300)]
    low, high = macro([counts], 0, 2000)["ci95"]
    own = clustered(counts, 1, 2000)["ci95"]
    assert [low, high] == pytest.approx(own, abs=0.01)

import pytest
from helpers import SCALE, candidate, candidate_set, pair_verdict, point_verdict
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.config import PairsConfig
from urm_ray.pairs.audit import audit, need_spread
from urm_ray.pairs.sifting import DROP_REASONS, sift
from urm_ray.store import StoreError

ROW = st.fixed_dictionaries(
    {
        "dropped": st.none() | st.sampled_from(DROP_REASONS),
        "pairs_asked": st.integers(0, 5),
        "orders_agreed": st.integers(0, 5),
        "first_preferred": st.integers(0, 10),
    }
)


@given(st.lists(ROW), st.booleans())
def test_every_prompt_is_kept_or_dropped_for_one_reason(rows, both_orders):
    counts = audit(iter(rows), both_orders)
    assert counts["prompts"] == len(rows)
    assert counts["kept"] + sum(counts["dropped"].values()) == len(rows)
    assert tuple(counts["dropped"]) == DROP_REASONS
    for name in ("pairs_asked", "orders_agreed", "first_preferred"):
        assert counts[name] == sum(row[name] for row in rows)
    assert counts["verdicts"] == counts["pairs_asked"] * (1 + both_orders)


def sifted(*outcomes: str) -> dict:
    """Two candidates, asked in both orders."""
    verdicts = [pair_verdict(0, 1, outcomes[0]), pair_verdict(1, 0, outcomes[1])]
    row = candidate_set(0) | {
        "candidates": [candidate(i, media=None) for i in range(2)],
        "pair_verdicts": verdicts,
        "point_verdicts": [point_verdict(0, 4.0), point_verdict(1, 2.0)],
        "judge_digest": "judge",
    }
    return sift(row, PairsConfig())


def test_a_judge_that_always_prefers_what_it_sees_first_is_found_out():
    counts = audit([sifted("first", "first") for _ in range(7)], both_orders=True)
    assert counts["first_preferred"] == counts["verdicts"] == 14
    assert counts["orders_agreed"] == 0
    assert counts["kept"] == 0
    assert counts["dropped"]["order_disagreement"] == 7


def test_a_judge_without_position_bias_prefers_the_first_half_of_the_time():
    counts = audit([sifted("first", "second"), sifted("second", "first"), sifted("first", "second")], both_orders=True)
    assert counts["first_preferred"] * 2 == counts["verdicts"] == 6
    assert counts["orders_agreed"] == counts["pairs_asked"] == 3
    assert counts["kept"] == 2
    assert counts["dropped"]["no_margin"] == 1


def test_nothing_is_counted_as_nothing():
    counts = audit([], both_orders=True)
    assert counts["prompts"] == counts["kept"] == counts["verdicts"] == 0
    assert set(counts["dropped"].values()) == {0}


def scored(*scores: float | None) -> dict:
    """The columns of a prompt with these point scores; None for an answer without one."""
    verdicts = [point_verdict(i, s, "score" if s is not None else "unparsed") for i, s in enumerate(scores)]
    return {"point_verdicts": verdicts, "scale": SCALE}


def test_a_judge_that_gives_everything_the_same_score_is_found_out():
    with pytest.raises(StoreError, match=r"all candidates of a prompt the same score \(9 prompts; always 0.2\)"):
        need_spread([scored(0.2, 0.2, None, 0.2)] * 9)


def test_so_is_one_that_reads_the_prompt_and_does_not_look():
    with pytest.raises(StoreError, match="another for each prompt, but never for its candidates"):
        need_spread([scored(1 + n / 10, 1 + n / 10 + 1e-6) for n in range(12)])


@given(st.integers(8, 12), st.integers(0, 7), st.floats(1.001, 5))
def test_one_prompt_with_a_preference_is_enough(prompts, place, other):
    rows = [scored(1.0, 1.0)] * prompts
    rows[place] = scored(1.0, other)
    need_spread(rows)


def test_few_prompts_or_few_scores_prove_nothing():
    need_spread([scored(3.0, 3.0)] * 7)
    need_spread([scored(3.0, None), scored(None, None), scored()] * 9)

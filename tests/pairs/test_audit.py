from helpers import candidate, candidate_set, pair_verdict, point_verdict
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.config import PairsConfig
from urm_ray.pairs.audit import audit
from urm_ray.pairs.sifting import DROP_REASONS, sift

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

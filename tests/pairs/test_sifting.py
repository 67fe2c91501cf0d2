import math

import pyarrow as pa
import pytest
from helpers import SCALE, candidate, candidate_set, pair_verdict, point_verdict
from hypothesis import given
from hypothesis import strategies as st

from urm_ray import schema
from urm_ray.config import PairsConfig
from urm_ray.pairs.ranking import adjacent, asked_orders, compare
from urm_ray.pairs.sifting import DROP_REASONS, sift

OUTCOMES = ("first", "second", "tie", "unparsed", "refused", "media_error")
MIRRORED = {"first": "second", "second": "first"}
SCORE = st.one_of(
    st.floats(1, 5), st.integers(1, 5).map(float), st.sampled_from(["unparsed", "refused", "media_error"])
)


def judged(outcomes, scores, both=True) -> dict:
    """A judged set. outcomes: one a question, in the order asked. scores: of each candidate, or why it has none.

    The candidates are answers, each of its own words.
    """
    asked = asked_orders(adjacent(len(scores)), both)
    points = [point_verdict(i, s) if isinstance(s, float) else point_verdict(i, None, s) for i, s in enumerate(scores)]
    return candidate_set(0) | {
        "candidates": [candidate(i, media=None, text=f"answer {i}") for i in range(len(scores))],
        "pair_verdicts": [pair_verdict(a, b, outcome) for (a, b), outcome in zip(asked, outcomes, strict=True)],
        "point_verdicts": points,
        "scale": SCALE,
        "judge_digest": "judge",
    }


def sure(*winners: str) -> list[str]:
    """The answers of a judge that says the same in both orders."""
    return [o for winner in winners for o in (winner, MIRRORED.get(winner, winner))]


@st.composite
def judged_sets(draw) -> dict:
    pairs, both = draw(st.integers(1, 5)), draw(st.booleans())
    questions = pairs * (2 if both else 1)
    outcomes = draw(st.lists(st.sampled_from(OUTCOMES[:3] * 4 + OUTCOMES), min_size=questions, max_size=questions))
    if both and draw(st.booleans()):
        outcomes = sure(*outcomes[::2])
    scores = draw(st.lists(SCORE, min_size=2 * pairs, max_size=2 * pairs))
    return judged(outcomes, scores, both)


CONFIGS = st.builds(
    PairsConfig,
    both_orders=st.booleans(),
    ties=st.sampled_from(["drop", "point"]),
    min_margin=st.sampled_from([0.0, 0.5, 2.0]),
)


def comparisons(row) -> dict:
    groups: dict[tuple[int, int], list] = {}
    for verdict in row["pair_verdicts"]:
        groups.setdefault(
            (min(verdict["first"], verdict["second"]), max(verdict["first"], verdict["second"])), []
        ).append(verdict)
    return {pair: compare(group) for pair, group in groups.items()}


@given(judged_sets(), CONFIGS)
def test_what_is_kept_is_the_best_winner_against_the_worst_loser(row, config):
    result = sift(row, config)
    scores = {v["index"]: v["score"] for v in row["point_verdicts"]}
    found = comparisons(row)
    won = {c.winner for c in found.values() if c.winner is not None}
    lost = {c.loser for c in found.values() if c.loser is not None}
    if config.ties == "point":
        for (a, b), c in found.items():
            if (
                c.result in ("tie", "order_disagreement")
                and None not in (scores[a], scores[b])
                and scores[a] != scores[b]
            ):
                won.add(max(a, b, key=lambda i: scores[i]))
                lost.add(min(a, b, key=lambda i: scores[i]))
    assert set(result["winners"]) == won
    assert set(result["losers"]) == lost
    winning = [scores[i] for i in won if scores[i] is not None]
    losing = [scores[i] for i in lost if scores[i] is not None]
    worth = bool(winning and losing) and max(winning) - min(losing) > config.min_margin
    assert (result["dropped"] is None) == worth
    if worth:
        chosen, rejected = result["chosen"], result["rejected"]
        assert chosen["index"] in won
        assert rejected["index"] in lost
        assert result["chosen_score"] == scores[chosen["index"]] == max(winning)
        assert result["rejected_score"] == scores[rejected["index"]] == min(losing)
        assert result["margin"] == result["chosen_score"] - result["rejected_score"] > config.min_margin
        assert chosen == row["candidates"][chosen["index"]]
    else:
        assert result["dropped"] in DROP_REASONS
        assert result["chosen"] is None
        assert result["rejected"] is None


@given(judged_sets(), CONFIGS)
def test_garbage_never_wins(row, config):
    # Defect 5. A candidate whose every verdict is garbage, or which has no score, is neither chosen nor rejected.
    result = sift(row, config)
    for (a, b), comparison in comparisons(row).items():
        if comparison.result in ("unparsed", "media_error"):
            assert not {a, b} & {*result["winners"], *result["losers"]}
    for side in ("chosen", "rejected"):
        if result[side] is not None:
            # Defect 2: a score that could not be read became 0, the ideal reason to be rejected.
            assert row["point_verdicts"][result[side]["index"]]["outcome"] == "score"


@given(judged_sets(), CONFIGS, st.randoms(use_true_random=False))
def test_the_order_of_rows_inside_a_set_does_not_matter(row, config, rng):
    shuffled = dict(row)
    for name in ("pair_verdicts", "point_verdicts", "candidates"):
        shuffled[name] = rng.sample(row[name], len(row[name]))
    one, two = sift(row, config), sift(shuffled, config)
    for name in ("winners", "losers"):
        one[name], two[name] = sorted(one[name]), sorted(two[name])
    assert one == two


@given(judged_sets(), CONFIGS)
def test_the_result_fits_the_schema(row, config):
    table = schema.table_of([row | sift(row, config)], schema.SIFTED_SET)
    assert isinstance(table, pa.Table)


@given(judged_sets(), CONFIGS)
def test_counts_say_how_the_judge_behaved(row, config):
    result = sift(row, config)
    found = comparisons(row)
    both = len(row["pair_verdicts"]) > len(found)
    assert result["pairs_asked"] == len(found)
    assert result["first_preferred"] == sum(v["outcome"] == "first" for v in row["pair_verdicts"])
    assert result["orders_agreed"] == (sum(c.result in ("win", "tie") for c in found.values()) if both else 0)


def test_the_published_example():
    row = judged(sure("first", "second", "first", "tie", "second"), [4.0, 2.0, 1.5, 3.0, 4.5, 3.5, 5.0, 1.0, 2.5, 2.0])
    result = sift(row, PairsConfig())
    assert (result["winners"], result["losers"]) == ([0, 3, 4, 9], [1, 2, 5, 8])
    assert (result["chosen"]["index"], result["rejected"]["index"]) == (4, 2)
    assert result["margin"] == 3.0


def test_ten_is_more_than_nine():
    # Defect 1: scores were compared as text, where max("10", "9") is "9".
    row = judged(sure("first", "first"), [10.0, 2.0, 9.0, 10.0])
    result = sift(row, PairsConfig())
    assert (result["chosen"]["index"], result["rejected"]["index"]) == (0, 1)
    row = judged(sure("first"), [10.0, 9.0])
    assert sift(row, PairsConfig())["margin"] == 1.0


def test_fractions_decide():
    # Defect 3: 3.67 and 3.33 were both 3, and the row was thrown away.
    result = sift(judged(sure("first"), [3.67, 3.33]), PairsConfig())
    assert result["dropped"] is None
    assert result["margin"] == pytest.approx(0.34)


def test_of_equal_scores_the_lower_index_is_taken():
    result = sift(judged(sure("second", "second"), [1.0, 4.0, 1.0, 4.0]), PairsConfig())
    assert (result["chosen"]["index"], result["rejected"]["index"]) == (1, 0)


@pytest.mark.parametrize(
    ("outcomes", "scores", "reason"),
    [
        (sure("tie", "tie"), [1.0, 2.0, 3.0, 4.0], "tie"),
        (["first", "first", "second", "second"], [1.0, 2.0, 3.0, 4.0], "order_disagreement"),
        (["unparsed"] * 4, [1.0, 2.0, 3.0, 4.0], "unparsed"),
        (["refused"] * 4, [1.0, 2.0, 3.0, 4.0], "unparsed"),
        (["media_error"] * 4, ["media_error"] * 4, "media_error"),
        (sure("first", "tie"), [2.0, 3.0, 3.0, 4.0], "no_margin"),
        (sure("first", "tie"), [3.0, 3.0, 3.0, 4.0], "no_margin"),
        (sure("first", "tie"), ["unparsed", 3.0, 3.0, 4.0], "unparsed"),
        (sure("first", "tie"), [3.0, "media_error", 3.0, 4.0], "media_error"),
        (["tie", "tie", "first", "first", "first", "first"], [1.0] * 6, "order_disagreement"),
    ],
)
def test_a_dropped_prompt_says_why(outcomes, scores, reason):
    result = sift(judged(outcomes, scores), PairsConfig())
    assert result["dropped"] == reason
    assert result["chosen"] is None
    assert result["rejected"] is None


def test_what_is_just_as_good_as_the_margin_is_dropped():
    row = judged(sure("first"), [4.0, 3.5])
    assert sift(row, PairsConfig(min_margin=0.5))["dropped"] == "no_margin"
    assert sift(row, PairsConfig(min_margin=0.49))["dropped"] is None
    assert sift(row, PairsConfig(min_margin=0.5))["margin"] == 0.5


@pytest.mark.parametrize("outcomes", [["tie", "tie"], ["first", "first"], ["first", "tie"]])
def test_scores_decide_what_ranking_left_open_only_if_they_are_asked_to(outcomes):
    row = judged(outcomes, [2.0, 4.0])
    assert sift(row, PairsConfig(ties="drop"))["winners"] == []
    kept = sift(row, PairsConfig(ties="point"))
    assert (kept["winners"], kept["losers"], kept["dropped"]) == ([1], [0], None)
    assert sift(judged(outcomes, [3.0, 3.0]), PairsConfig(ties="point"))["dropped"] in ("tie", "order_disagreement")


@pytest.mark.parametrize("failure", ["unparsed", "refused", "media_error"])
def test_scores_do_not_stand_in_for_a_judge_that_failed(failure):
    result = sift(judged([failure, "second"], [5.0, 1.0]), PairsConfig(ties="point"))
    assert result["winners"] == []
    assert result["dropped"] == ("media_error" if failure == "media_error" else "unparsed")


def test_the_id_of_a_pair_names_prompt_sampler_and_judge_and_not_its_outcome():
    row = judged(sure("first"), [4.0, 1.0])
    same = judged(sure("second"), [1.0, 4.0])
    assert sift(row, PairsConfig())["pair_id"] == sift(same, PairsConfig())["pair_id"]
    ids = {
        sift(row | {name: "other"}, PairsConfig())["pair_id"]
        for name in ("prompt_id", "sampler_digest", "judge_digest")
    }
    assert len(ids | {sift(row, PairsConfig())["pair_id"]}) == 4


def test_a_set_whose_first_candidates_failed_still_gives_a_pair():
    row = judged(["media_error", "media_error", *sure("second")], ["media_error", 2.0, 1.0, 3.0])
    result = sift(row, PairsConfig())
    assert (result["chosen"]["index"], result["rejected"]["index"], result["dropped"]) == (3, 2, None)
    assert math.isclose(result["margin"], 2.0)

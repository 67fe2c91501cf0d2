import itertools

import pytest
from helpers import NOT_A_PICTURE, FakeEngine, answer_set, candidate, candidate_set, prefer_darker
from hypothesis import given, settings
from hypothesis import strategies as st

from urm_ray.config import PairsConfig
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.pairs.asking import Counting, interview
from urm_ray.pairs.pairing import Field, each_with_each, swiss_rounds
from urm_ray.pairs.ranking import adjacent, asked_orders

UNIFIED = protocol("unified")
RANKINGS = st.sampled_from(["adjacent", "all", "swiss"])


def judged(row: dict, **pairs) -> tuple[dict, FakeEngine]:
    """The verdict columns of a row, and the engine that was asked."""
    engine = FakeEngine(prefer_darker)
    sitting = JudgeScorer(engine, UNIFIED).sit(row)
    interview(sitting, PairsConfig(**pairs))
    assert sitting.spent == len(engine.asked)
    return sitting.columns(), engine


def of(columns: dict) -> tuple[list[tuple[int, int]], list[int]]:
    """Pairs as they were shown, and candidates that were scored."""
    orders = [(v["first"], v["second"]) for v in columns["pair_verdicts"]]
    return orders, [v["index"] for v in columns["point_verdicts"]]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 10])
@pytest.mark.parametrize("both", [True, False])
def test_without_a_limit_all_is_asked_at_once_as_ever(count, both):
    row, batches = candidate_set(count), []
    engine = FakeEngine(prefer_darker)
    read = engine.read
    engine.read = lambda questions: batches.append(len(questions)) or read(questions)
    scorer = JudgeScorer(engine, UNIFIED)
    sitting = scorer.sit(row)
    interview(sitting, PairsConfig(both_orders=both))
    assert sitting.columns() == scorer.judge_set(row, asked_orders(adjacent(count), both))
    assert batches == [sitting.spent] * 2 if count else batches == []


def test_all_pairs_come_by_index_whatever_the_order_they_are_thought_of_in():
    orders, points = of(judged(candidate_set(5), ranking="all")[0])
    assert orders == asked_orders(list(itertools.combinations(range(5), 2)), both=True)
    assert points == list(range(5))


@settings(deadline=None)
@given(st.integers(2, 7), RANKINGS, st.booleans(), st.booleans(), st.integers(1, 60))
def test_no_more_is_asked_than_may_be_and_the_same_every_time(count, ranking, both, points, calls):
    construction = "pair_point" if points else "bradley_terry"
    limited = {"ranking": ranking, "both_orders": both, "points": points, "construction": construction}
    calls = max(calls, 1 + both + 2 * points)
    columns, engine = judged(candidate_set(count), **limited, calls=calls)
    every, _ = judged(candidate_set(count), **limited)
    assert len(engine.asked) <= calls
    assert judged(candidate_set(count), **limited, calls=calls)[0] == columns
    # Verdicts are the same as they would be with all the others.
    assert all(verdict in every["pair_verdicts"] for verdict in columns["pair_verdicts"])
    orders, scored = of(columns)
    if points:
        assert {i for pair in orders for i in pair} <= set(scored), "who was compared is scored"
    if both:
        assert {(b, a) for a, b in orders} == set(orders), "both orders or none"
    assert orders, "at least one pair is bought"
    if len(of(every)[0]) + len(of(every)[1]) <= calls:
        assert columns == every, "a limit that is not met changes nothing"


@given(st.integers(2, 7), RANKINGS, st.booleans(), st.integers(4, 60))
def test_more_calls_compare_all_that_fewer_do(count, ranking, both, calls):
    pairs = {"ranking": ranking, "both_orders": both}
    fewer, more = (of(judged(candidate_set(count), **pairs, calls=n)[0]) for n in (calls, calls + 1))
    assert set(fewer[0]) <= set(more[0])


@given(st.integers(2, 8), RANKINGS, st.booleans(), st.none() | st.integers(4, 80))
def test_what_is_counted_beforehand_is_what_is_asked(count, ranking, both, calls):
    config = PairsConfig(ranking=ranking, both_orders=both, calls=calls)
    counted = Counting(count)
    interview(counted, config)
    orders, points = of(judged(candidate_set(count), **config.model_dump())[0])
    assert counted.verdicts == {"pair": len(orders), "point": len(points)}
    assert counted.spent == len(orders) + len(points)


def test_twelve_calls_are_three_pairs_in_both_orders_with_their_points():
    orders, points = of(judged(candidate_set(10), calls=12)[0])
    assert orders == asked_orders([(0, 1), (2, 3), (4, 5)], both=True)
    assert points == list(range(6))
    orders, points = of(judged(candidate_set(10), calls=14)[0])
    assert (len(orders), points) == (6, list(range(8))), "what no pair fits into goes to points"


def test_of_all_pairs_those_are_asked_first_that_are_about_all():
    orders, points = of(judged(candidate_set(6), ranking="all", both_orders=False, calls=12)[0])
    assert set(orders) == set(each_with_each(Field.of(6), [])[:6])
    assert points == list(range(6))


def test_a_swiss_tournament_asks_leaders_first_and_ends_where_its_calls_do():
    columns, _ = judged(candidate_set(8), ranking="swiss", both_orders=False, calls=14)
    assert of(columns)[0] == [*adjacent(8), (0, 2), (4, 6)], "the leaders' pairs of the second round"
    every, _ = judged(candidate_set(8), ranking="swiss", both_orders=False)
    assert len(of(every)[0]) == 4 * swiss_rounds(8)
    # Lower shades win: the final is between the winners of both halves.
    assert (0, 4) in of(every)[0]


def test_what_cannot_be_shown_or_is_equal_takes_no_call_and_plays_no_tournament():
    row = candidate_set(6)
    row["candidates"][1] |= {"media": NOT_A_PICTURE}
    row["candidates"][3] |= {"media": row["candidates"][2]["media"]}
    columns, engine = judged(row, ranking="swiss")
    assert {i for pair in of(columns)[0] for i in pair} == {0, 2, 4, 5}
    assert len(engine.asked) == 2 * 2 * 2 + 4
    assert [v["outcome"] for v in columns["point_verdicts"]] == ["score", "media_error", *["score"] * 4]
    columns, engine = judged(row, calls=8)
    assert [v["outcome"] for v in columns["pair_verdicts"]] == ["media_error"] * 2 + ["tie"] * 2 + ["first", "second"]
    assert len(engine.asked) == 2 + 4


def test_where_nothing_is_compared_points_are_asked_and_where_nothing_is_scored_pairs():
    only = {"ranking": "none", "construction": "point"}
    assert of(judged(candidate_set(4), **only)[0]) == ([], [0, 1, 2, 3])
    assert of(judged(candidate_set(4), **only, calls=3)[0]) == ([], [0, 1, 2])
    compared = judged(candidate_set(4), points=False, construction="pair")[0]
    assert of(compared) == (asked_orders(adjacent(4), both=True), [])
    nothing, engine = judged(candidate_set(4), ranking="none", points=False, construction="random")
    assert of(nothing) == ([], [])
    assert engine.asked == []


def test_of_equal_answers_one_is_asked_about_however_many_rounds_there_are():
    row = answer_set(["red", "blue", "Red.", "green"])
    engine = FakeEngine(lambda q: prefer(q))
    sitting = JudgeScorer(engine, UNIFIED).sit(row)
    interview(sitting, PairsConfig(ranking="swiss"))
    assert sitting.able == (0, 1, 3)
    assert len(engine.asked) == sitting.spent == 2 * 2 + 3
    assert [v["index"] for v in sitting.columns()["point_verdicts"]] == [0, 1, 2, 3]


def prefer(question):
    """A judge of answers to whom all are alike."""
    from urm_ray.judge.engine import Reading

    count = len(question.answers)
    return Reading([float(i == count - 1) for i in range(count)], 1.0)


def test_candidates_by_index_and_not_by_place():
    row = candidate_set(4)
    row["candidates"] = [candidate(i) for i in (3, 1, 0, 2)]
    assert (
        judged(row, ranking="swiss")[0]["pair_verdicts"]
        == judged(candidate_set(4), ranking="swiss")[0]["pair_verdicts"]
    )

import pytest
from helpers import NOT_A_PICTURE, FakeEngine, answer_set, candidate, candidate_set, prefer_darker, shade_of

from urm_ray.judge.engine import Reading
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer

UNIFIED = protocol("unified")


def sit(row: dict):
    engine = FakeEngine(prefer_darker)
    return JudgeScorer(engine, UNIFIED).sit(row), engine


def test_nothing_is_asked_twice_in_however_many_rounds():
    sitting, engine = sit(candidate_set(3))
    first = sitting.ask([(0, 1), (1, 0)], [0, 1])
    assert [v["outcome"] for v in first] == ["first", "second"]
    assert sitting.cost([(0, 1), (0, 2)], [0, 2]) == 2
    second = sitting.ask([(0, 1), (0, 2)], [0, 2])
    assert second[0] == first[0]
    assert [[shade_of(one) for one in question.media] for question in engine.asked[4:]] == [[0, 2], [2]]
    assert sitting.spent == len(engine.asked) == 6


def test_rounds_together_are_what_one_round_is():
    rounds, _ = sit(candidate_set(4))
    for orders, points in (([(0, 1)], [0, 1]), ([(2, 3)], []), ([(0, 2)], [3, 2])):
        rounds.ask(orders, points)
    whole, _ = sit(candidate_set(4))
    whole.ask([(0, 1), (2, 3), (0, 2)], range(4))
    assert rounds.columns() == whole.columns()


def test_candidates_have_the_indices_that_they_have():
    row = candidate_set(0) | {"candidates": [candidate(7), candidate(3)]}
    columns = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(row, [(3, 7), (7, 3)])
    assert [v["outcome"] for v in columns["pair_verdicts"]] == ["first", "second"]
    assert [v["index"] for v in columns["point_verdicts"]] == [7, 3]
    assert sit(row)[0].able == (3, 7)


def test_only_who_was_asked_about_has_a_score():
    sitting, _ = sit(candidate_set(4))
    sitting.ask([(0, 1)], [3])
    columns = sitting.columns()
    assert [v["index"] for v in columns["point_verdicts"]] == [3]
    assert columns["scale"]["name"] == "1-5"
    nothing, engine = sit(candidate_set(4))
    assert nothing.columns() == {"pair_verdicts": [], "point_verdicts": [], "scale": columns["scale"]}
    assert engine.asked == []


def test_what_cannot_be_shown_costs_nothing_and_plays_no_part():
    row = candidate_set(4)
    row["candidates"][2] |= {"media": NOT_A_PICTURE}
    row["candidates"][3] |= {"media": row["candidates"][0]["media"]}
    sitting, engine = sit(row)
    assert (sitting.count, sitting.able) == (4, (0, 1))
    assert sitting.cost([(0, 2), (0, 3), (3, 1)], [2, 3]) == 2
    said = sitting.ask([(0, 2), (0, 3), (3, 1), (0, 1)], [2, 3])
    assert [v["outcome"] for v in said] == ["media_error", "tie", "first", "first"]
    assert sitting.spent == len(engine.asked) == 2


def test_about_a_context_that_does_not_decode_nothing_can_be_asked():
    sitting, engine = sit(answer_set(["red", "blue"], context=[NOT_A_PICTURE]))
    assert sitting.able == ()
    assert sitting.cost([(0, 1)], [0, 1]) == sitting.spent == 0
    assert [v["outcome"] for v in sitting.ask([(0, 1)], [0])] == ["media_error"]
    assert engine.asked == []


@pytest.mark.parametrize(("name", "each"), [("unifiedreward_edit", 2), ("unifiedreward_think", 0)])
def test_a_score_costs_the_questions_that_it_takes(name, each):
    def written(questions, limit):
        raise AssertionError("only what it would cost is wanted")

    engine = FakeEngine(lambda question: Reading([], 0.0))
    engine.write = written
    sitting = JudgeScorer(engine, protocol(name), readout="generate").sit(candidate_set(3))
    assert sitting.cost([(0, 1), (1, 0)], [0, 1, 2]) == 2 + 3 * each

import math

import pyarrow as pa
import pytest
from helpers import NOT_A_PICTURE, FakeEngine, candidate, candidate_set, picture, prefer_darker, shade_of

from urm_ray import schema
from urm_ray.judge.engine import Reading
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import Item, JudgeScorer, picture_of
from urm_ray.judge.verdict import PairVerdict, PointVerdict
from urm_ray.media import MediaError

UNIFIED = protocol("unified")
PAIR, POINT = (UNIFIED.form("image_generation", kind) for kind in ("pair", "point"))


def pair(*shades: int) -> Item:
    return Item("image_generation", "pair", "a red circle", tuple(picture(shade) for shade in shades))


def point(shade: int) -> Item:
    return Item("image_generation", "point", "a red circle", (picture(shade),))


def saying(probabilities, mass=1.0, min_mass=0.1) -> JudgeScorer:
    return JudgeScorer(FakeEngine(lambda q: Reading(list(probabilities), mass)), UNIFIED, min_mass)


def test_what_is_asked_is_the_form_with_the_pictures_in_their_order():
    engine = FakeEngine(prefer_darker)
    JudgeScorer(engine, UNIFIED).ask([pair(7, 3), point(5)])
    one, two = engine.asked
    assert [shade_of(i) for i in one.images] == [7, 3]
    assert one.messages == PAIR.messages("a red circle")
    assert one.answers == tuple(PAIR.answers)
    assert [shade_of(i) for i in two.images] == [5]
    assert two.answers == tuple(POINT.answers)


@pytest.mark.parametrize(("shades", "outcome"), [((1, 2), "first"), ((2, 1), "second"), ((2, 2), "tie")])
def test_a_pair_verdict_names_the_place_that_was_preferred(shades, outcome):
    verdict = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).ask([pair(*shades)])[0]
    assert isinstance(verdict, PairVerdict)
    assert verdict.outcome == outcome
    chances = {"first": verdict.p_first, "second": verdict.p_second, "tie": verdict.p_tie}
    assert chances == {name: 0.8 if name == outcome else 0.1 for name in chances}


def test_a_point_verdict_is_the_expected_score():
    verdict = saying([0.1, 0.2, 0.3, 0.4, 0.0]).ask([point(1)])[0]
    assert isinstance(verdict, PointVerdict)
    assert verdict.outcome == "score"
    assert verdict.score == pytest.approx(3.0)
    assert verdict.probabilities == [0.1, 0.2, 0.3, 0.4, 0.0]


@pytest.mark.parametrize("item", [pair(1, 2), point(1)], ids=["pair", "point"])
@pytest.mark.parametrize(
    ("probabilities", "mass", "why"),
    [([0.9, 0.1, 0, 0, 0], 0.05, "hold only 0.050"), ([math.nan] * 5, 1.0, "not numbers")],
)
def test_a_judge_that_does_not_answer_gives_neither_a_winner_nor_a_score(item, probabilities, mass, why):
    # Defects 2 and 5: such answers became a score of 0 and a win for candidate 1.
    count = 3 if item.kind == "pair" else 5
    verdict = saying(probabilities[:count], mass).ask([item])[0]
    assert verdict.outcome == "unparsed"
    assert why in (verdict.reason or "")
    answers = (
        (verdict.p_first, verdict.p_second, verdict.p_tie) if isinstance(verdict, PairVerdict) else (verdict.score,)
    )
    assert all(value is None for value in answers)


def test_the_least_mass_is_a_limit_that_is_itself_enough():
    assert saying([0.9, 0.1, 0.0], 0.1).ask([pair(1, 2)])[0].outcome == "first"
    assert saying([0.9, 0.1, 0.0], 0.0, min_mass=0.0).ask([pair(1, 2)])[0].outcome == "first"


@pytest.mark.parametrize("probabilities", [[0.5, 0.5, 0.0], [1 / 3] * 3, [0.4, 0.2, 0.4]])
def test_a_judge_that_is_undecided_prefers_nobody(probabilities):
    # Defect 5: between equals the first candidate won. Half-precision logits are often exactly equal.
    assert saying(probabilities).ask([pair(1, 2)])[0].outcome == "tie"


@pytest.mark.parametrize("bad", [NOT_A_PICTURE, None])
def test_a_picture_that_does_not_decode_costs_only_the_questions_about_it(bad):
    row = candidate_set(4)
    row["candidates"][1]["media"] = bad
    engine = FakeEngine(prefer_darker)
    judged = JudgeScorer(engine, UNIFIED).judge_set(row, [(0, 1), (1, 0), (2, 3), (3, 2)])
    assert [v["outcome"] for v in judged["pair_verdicts"]] == ["media_error", "media_error", "first", "second"]
    assert [v["outcome"] for v in judged["point_verdicts"]] == ["score", "media_error", "score", "score"]
    assert [v["score"] for v in judged["point_verdicts"]] == [5.0, None, 3.0, 2.0]
    assert all(v["reason"] for v in judged["pair_verdicts"][:2])
    assert len(engine.asked) == 5


def test_the_reason_of_a_candidate_that_was_never_made_is_kept():
    row = candidate_set(2)
    row["candidates"][0] = candidate(0, media=None, error="blanked by the safety checker")
    judged = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(row, [(0, 1)])
    assert (
        judged["point_verdicts"][0]["reason"] == judged["pair_verdicts"][0]["reason"] == "blanked by the safety checker"
    )


def test_a_set_without_a_single_picture_asks_nothing():
    row = candidate_set(2)
    row["candidates"] = [candidate(i, media=None, error="pixels are not numbers") for i in range(2)]
    engine = FakeEngine(prefer_darker)
    judged = JudgeScorer(engine, UNIFIED).judge_set(row, [(0, 1), (1, 0)])
    assert not engine.asked
    assert {v["outcome"] for v in judged["pair_verdicts"] + judged["point_verdicts"]} == {"media_error"}


def test_a_swapped_pair_shows_the_pictures_swapped_and_names_the_candidates():
    engine = FakeEngine(prefer_darker)
    judged = JudgeScorer(engine, UNIFIED).judge_set(candidate_set(2), [(0, 1), (1, 0)])
    assert [[shade_of(i) for i in q.images] for q in engine.asked[:2]] == [[0, 1], [1, 0]]
    rows = [(v["first"], v["second"], v["outcome"]) for v in judged["pair_verdicts"]]
    assert rows == [(0, 1, "first"), (1, 0, "second")]


def test_verdicts_belong_to_candidates_by_index_and_not_by_place():
    row = candidate_set(3)
    row["candidates"] = row["candidates"][::-1]
    judged = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(row, [(0, 2)])
    assert {v["index"]: v["score"] for v in judged["point_verdicts"]} == {0: 5.0, 1: 4.0, 2: 3.0}
    assert judged["pair_verdicts"][0]["outcome"] == "first"


def test_every_candidate_is_scored_even_when_no_pair_is_asked():
    judged = JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(candidate_set(3), [])
    assert judged["pair_verdicts"] == []
    assert [v["index"] for v in judged["point_verdicts"]] == [0, 1, 2]


def test_what_a_set_is_judged_fits_the_schema():
    row = candidate_set(3)
    row["candidates"][2]["media"] = NOT_A_PICTURE
    judged = (
        row | JudgeScorer(FakeEngine(prefer_darker), UNIFIED).judge_set(row, [(0, 1), (1, 2)]) | {"judge_digest": "j"}
    )
    table = schema.table_of([judged], schema.JUDGED_SET)
    assert isinstance(table, pa.Table)
    assert table["scale"].to_pylist() == [{"name": "1-5", "minimum": 1, "maximum": 5}]
    verdict = table["pair_verdicts"].to_pylist()[0][0]
    assert verdict["p_first"] + verdict["p_second"] + verdict["p_tie"] == pytest.approx(1)


def test_a_picture_or_its_error():
    assert shade_of(picture_of(candidate(9)["media"])) == 9
    assert isinstance(picture_of(NOT_A_PICTURE), MediaError)

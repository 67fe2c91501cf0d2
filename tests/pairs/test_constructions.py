"""Pairs made by rank, score, both or chance (paper, Table XII), of one order or two, as many as wanted."""

from collections import Counter

import pytest
from helpers import candidate, pair_verdict
from hypothesis import given
from hypothesis import strategies as st
from pairs.test_sifting import OUTCOMES, SCORE, comparisons, judged, judged_sets, sure

from urm_ray.config import PairsConfig
from urm_ray.judge.equal import EQUAL
from urm_ray.pairs.sifting import DROP_REASONS, SURPLUS, last_place, sift, within

CONSTRUCTIONS = ("pair_point", "pair", "bradley_terry", "point", "best_of", "random")
AUDIT = ("winners", "losers", "pairs_asked", "orders_agreed", "first_preferred", "pair_id")


def made(row: dict, construction: str, **settings) -> tuple[int, int] | str:
    """Indices of chosen and rejected, or why the row was dropped."""
    result = sift(row, PairsConfig(construction=construction, **settings))
    return result["dropped"] or (result["chosen"]["index"], result["rejected"]["index"])


def other(row: dict, outcomes=None, scores=None) -> dict:
    """The same prompt and candidates before a judge that says something else."""
    asked = [v["outcome"] for v in row["pair_verdicts"]] if outcomes is None else outcomes
    given_ = [v["score"] or v["outcome"] for v in row["point_verdicts"]] if scores is None else scores
    both = len(row["pair_verdicts"]) > len(row["candidates"]) // 2
    return judged(asked, given_, both) | {"prompt_id": row["prompt_id"]}


@given(judged_sets(), st.sampled_from(CONSTRUCTIONS), st.sampled_from(["asked", "first"]))
def test_a_pair_is_two_candidates_of_its_prompt_or_a_reason(row, construction, orders):
    result = sift(row, PairsConfig(construction=construction, orders=orders))
    if result["dropped"] is None:
        assert result["chosen"] in row["candidates"]
        assert result["rejected"] in row["candidates"]
        assert result["chosen"]["index"] != result["rejected"]["index"]
    else:
        assert result["dropped"] in DROP_REASONS
        assert result["chosen"] is result["rejected"] is None


@given(judged_sets(), st.sampled_from(CONSTRUCTIONS), st.sampled_from(["asked", "first"]))
def test_scores_are_those_of_the_pair_wherever_there_are_any(row, construction, orders):
    result = sift(row, PairsConfig(construction=construction, orders=orders))
    scores = {v["index"]: v["score"] for v in row["point_verdicts"]}
    if result["dropped"] is None:
        found = [scores[result[side]["index"]] for side in ("chosen", "rejected")]
        assert [result["chosen_score"], result["rejected_score"]] == found
        assert result["margin"] == (None if None in found else found[0] - found[1])


@given(judged_sets(), st.sampled_from(CONSTRUCTIONS))
def test_what_is_known_of_the_judge_is_the_same_whatever_is_made_of_it(row, construction):
    one, two = sift(row, PairsConfig()), sift(row, PairsConfig(construction=construction))
    assert {name: one[name] for name in AUDIT} == {name: two[name] for name in AUDIT}


@given(judged_sets(), st.data())
def test_by_rank_the_judge_itself_preferred_chosen_to_rejected(row, data):
    found = made(row, "pair")
    won = {(c.winner, c.loser) for c in comparisons(row).values() if c.winner is not None}
    assert found in won if won else isinstance(found, str)
    # Scores have no say, not even which of several pairs is taken.
    count = len(row["candidates"])
    scores = data.draw(st.lists(SCORE, min_size=count, max_size=count))
    assert made(other(row, scores=scores), "pair") == found


def test_by_rank_every_pair_has_its_turn():
    rows = [judged(sure("first", "first", "second"), [3.0] * 6) | {"prompt_id": f"p{n}"} for n in range(300)]
    found = Counter(made(row, "pair") for row in rows)
    assert set(found) == {(0, 1), (2, 3), (5, 4)}
    assert min(found.values()) > 70


@given(judged_sets(), st.data())
def test_by_score_the_best_of_all_stands_against_the_worst(row, data):
    scores = {v["index"]: v["score"] for v in row["point_verdicts"] if v["score"] is not None}
    found = made(row, "point")
    if len(scores) > 1 and max(scores.values()) > min(scores.values()):
        assert isinstance(found, tuple)
        assert scores[found[0]] == max(scores.values())
        assert scores[found[1]] == min(scores.values())
    else:
        assert found == "no_margin" if len(scores) > 1 else found in ("unparsed", "media_error")
    count = len(row["pair_verdicts"])
    outcomes = data.draw(st.lists(st.sampled_from(OUTCOMES), min_size=count, max_size=count))
    assert made(other(row, outcomes=outcomes), "point") == found


def test_by_score_the_margin_counts_and_by_rank_or_chance_it_does_not():
    row = judged(sure("second"), [4.0, 3.5])
    assert made(row, "point", min_margin=0.49) == (0, 1)
    assert made(row, "point", min_margin=0.5) == "no_margin"
    assert made(row, "pair", min_margin=0.5) == (1, 0)
    assert isinstance(made(row, "random", min_margin=0.5), tuple)


@given(judged_sets(), st.data())
def test_by_chance_the_judge_has_no_say(row, data):
    asked, count = len(row["pair_verdicts"]), len(row["candidates"])
    outcomes = data.draw(st.lists(st.sampled_from(OUTCOMES), min_size=asked, max_size=asked))
    scores = data.draw(st.lists(SCORE, min_size=count, max_size=count))
    changed = other(row, outcomes, scores) | {"judge_digest": "another"}
    assert made(changed, "random") == made(row, "random") != "tie"


def test_by_chance_every_candidate_is_chosen_and_rejected_as_often():
    rows = [judged(sure("first", "first"), [1.0, 2.0, 3.0, 4.0]) | {"prompt_id": f"p{n}"} for n in range(600)]
    found = Counter(made(row, "random") for row in rows)
    assert len(found) == 12
    assert 25 < min(found.values()) <= max(found.values()) < 80


@given(judged_sets())
def test_best_of_n_has_the_best_score_of_all_and_any_other_against_it(row):
    scores = {v["index"]: v["score"] for v in row["point_verdicts"] if v["score"] is not None}
    found = made(row, "best_of")
    if len(scores) > 1 and isinstance(found, tuple):
        assert found[0] == made(row, "point")[0]
        assert scores[found[0]] > scores[found[1]]
    elif len(scores) > 1:
        assert found == "no_margin"
    else:
        assert found in ("unparsed", "media_error")


def test_best_of_n_draws_the_others_alike_and_by_ids():
    rows = [judged(sure("first", "first"), [1.0, 2.0, 5.0, 4.0]) | {"prompt_id": f"p{n}"} for n in range(300)]
    found = Counter(made(row, "best_of") for row in rows)
    assert set(found) == {(2, 0), (2, 1), (2, 3)}
    assert min(found.values()) > 70
    assert Counter(made(row | {"judge_digest": "another"}, "best_of") for row in rows) == found


def test_best_of_n_stands_against_no_equal_of_its():
    row = judged(sure("first", "first"), [5.0, 5.0, 1.0, 5.0])
    for index in (1, 3):
        row["candidates"][index] |= {"text": "Answer 0."}
    assert {made(row | {"prompt_id": f"p{n}"}, "best_of") for n in range(20)} == {(0, 2)}
    row["candidates"][2] |= {"text": "answer 0"}
    assert made(row, "best_of") == "tie"


def ranked(*verdicts: dict, scores=(3.0, 3.0, 3.0, 3.0)) -> dict:
    return judged(sure("tie", "tie"), list(scores)) | {"pair_verdicts": list(verdicts)}


def test_the_strongest_stands_against_the_weakest_though_they_never_met():
    row = ranked(pair_verdict(0, 1, "first"), pair_verdict(1, 2, "first"), pair_verdict(2, 3, "first"))
    assert made(row, "bradley_terry") == (0, 3)
    assert sift(row, PairsConfig(construction="bradley_terry"))["margin"] == 0.0, "points have no say"
    nobody = row | {"point_verdicts": []}
    assert made(nobody, "bradley_terry") == (0, 3)
    assert sift(nobody, PairsConfig(construction="bradley_terry"))["chosen_score"] is None


def test_orders_that_disagree_are_shares_of_a_win():
    one, other = pair_verdict(0, 1, "first"), pair_verdict(1, 0, "first")
    sure_of = {"p_first": 0.9, "p_second": 0.1, "p_tie": 0.0}
    assert made(ranked(one, other), "bradley_terry") == "tie"
    assert made(ranked(one, other | {"p_first": 0.6, "p_second": 0.3, "p_tie": 0.1}), "bradley_terry") == (0, 1)
    assert made(ranked(one | sure_of, other | sure_of), "bradley_terry") == "tie"
    assert made(ranked(one, other), "bradley_terry", orders="first") == (0, 1)


def test_what_has_no_answer_has_no_strength():
    assert made(ranked(pair_verdict(0, 1, "unparsed"), pair_verdict(2, 3, "tie")), "bradley_terry") == "tie"
    assert made(ranked(pair_verdict(0, 1, "refused")), "bradley_terry") == "unparsed"
    assert made(ranked(pair_verdict(0, 1, "unparsed"), pair_verdict(2, 3, "second")), "bradley_terry") == (3, 2)


def test_equal_candidates_have_one_strength():
    row = ranked(pair_verdict(0, 1, "first"), pair_verdict(2, 3, "second"))
    row["candidates"][3] |= {"text": "Answer 1."}
    assert made(row, "bradley_terry") == (0, 2), "0 beats 1, which is 3 as well, which beats 2"


def test_where_nothing_could_be_compared_it_is_said_why():
    row = ranked()
    assert made(row, "pair") == made(row, "bradley_terry") == "media_error"
    alike = [candidate(i, media=None, text="the same") for i in range(4)]
    assert made(row | {"candidates": alike}, "pair") == made(row | {"candidates": alike}, "bradley_terry") == "tie"


@given(judged_sets(), st.sampled_from(CONSTRUCTIONS))
def test_a_tie_falls_to_the_first_shown_where_that_is_asked_for(row, construction):
    settings = {"construction": construction, "orders": "first"}
    falling, dropping = (sift(row, PairsConfig(**settings, ties=ties)) for ties in ("first", "drop"))
    shown = [v for v in row["pair_verdicts"] if v["first"] < v["second"]]
    won = [v["second"] if v["outcome"] == "second" else v["first"] for v in shown if v["outcome"] in OUTCOMES[:3]]
    assert falling["winners"] == won
    assert [v["first"] for v in shown if v["outcome"] == "tie" and v["first"] in falling["losers"]] == []
    for column in ("pairs_asked", "orders_agreed", "first_preferred"):
        assert falling[column] == dropping[column], "what the judge said stays what it is"


def test_defect_5_is_kept_of_ties_alone_and_never_of_answers_that_cannot_be_read():
    published = {"both_orders": False, "ties": "first"}
    assert made(judged(["tie"], [4.0, 2.0], both=False), "pair_point", **published) == (0, 1)
    for outcome in ("unparsed", "refused", "media_error"):
        found = made(judged([outcome], [4.0, 2.0], both=False), "pair_point", **published)
        assert found == ("media_error" if outcome == "media_error" else "unparsed")


def test_a_tie_of_equal_candidates_that_nobody_was_asked_about_stays_one():
    row = ranked(pair_verdict(0, 1, "tie") | {"reason": EQUAL})
    assert made(row, "pair", ties="first", orders="first") == "tie"


def test_by_chance_only_candidates_that_were_made_and_differ_are_drawn():
    row = judged(sure("first", "first"), [1.0, 2.0, 3.0, 4.0])
    same, lost = {"text": "Answer 0."}, {"text": None, "error": "the answer is empty"}

    def left(*changes: dict) -> set:
        candidates = [candidate(i, media=None, text=f"answer {i}") | c for i, c in enumerate(changes)]
        return {made(row | {"candidates": candidates, "prompt_id": f"p{n}"}, "random") for n in range(40)}

    assert left(lost, {}, same, lost) == {(1, 2), (2, 1)}
    assert left({}, same, lost, same) == {"tie"}
    assert left(lost, {}, lost, lost) == {"media_error"}


@given(judged_sets(), st.sampled_from(CONSTRUCTIONS), st.sampled_from(["drop", "point"]))
def test_the_first_order_alone_is_what_asking_it_alone_gives(row, construction, ties):
    alone = row | {"pair_verdicts": [v for v in row["pair_verdicts"] if v["first"] < v["second"]]}
    settings = PairsConfig(construction=construction, ties=ties)
    first = settings.model_copy(update={"orders": "first"})
    assert sift(row, first) == sift(alone, first) == sift(alone, settings)
    assert sift(row, first)["orders_agreed"] == 0


def test_one_order_takes_the_word_of_a_judge_that_two_orders_find_out():
    row = judged(["first", "first"], [4.0, 2.0])
    assert made(row, "pair_point") == "order_disagreement"
    assert made(row, "pair_point", orders="first") == (0, 1)
    assert sift(row, PairsConfig(orders="first"))["first_preferred"] == 1


IDS = st.sets(st.integers(0, 10**6).map(str), min_size=1, max_size=40)


def kept(ids, keep) -> set:
    last = last_place(ids, keep)
    columns = {"dropped": None, "chosen": 1, "rejected": 0}
    return {i for i in ids if within(columns, i, last)["dropped"] is None}


@given(IDS, st.integers(1, 50))
def test_as_many_are_kept_as_there_is_room_for(ids, keep):
    assert len(kept(ids, keep)) == min(keep, len(ids))
    assert kept(ids, keep) <= kept(ids, keep + 1)


@given(IDS, IDS, st.integers(1, 50))
def test_two_sets_of_pairs_keep_what_they_share_as_far_as_they_can(one, two, keep):
    # What both have and only one keeps had to make room for a prompt that the other lacks.
    for mine, theirs in ((one, two), (two, one)):
        missing = (kept(mine, keep) & theirs) - kept(theirs, keep)
        assert len(missing) <= len(kept(theirs, keep) - mine)


def test_what_is_surplus_loses_its_pair_and_keeps_its_scores():
    columns, last = sift(judged(sure("first"), [4.0, 2.0]), PairsConfig()), last_place("abcdef", 4)
    found = [within(columns, i, last) for i in "abcdef"]
    assert found.count(columns) == 4
    assert found.count(columns | {"chosen": None, "rejected": None, "dropped": SURPLUS}) == 2


@pytest.mark.parametrize("reason", DROP_REASONS)
def test_what_was_dropped_before_keeps_its_reason(reason):
    columns = {"dropped": reason, "chosen": None, "rejected": None}
    assert within(columns, "b", last_place(["a", "b", "c"], 1)) == columns

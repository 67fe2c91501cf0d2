import itertools

import pytest
from helpers import pair_verdict
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.pairs.pairing import PAIRINGS, Field, each_with_each, neighbours, nothing, swiss, swiss_rounds
from urm_ray.pairs.ranking import adjacent

SAID = st.sampled_from(["first", "second", "tie", "unparsed"])


def test_pairings_go_by_the_names_of_the_configuration():
    assert [PAIRINGS[name](Field.of(4), []) for name in ("none", "adjacent")] == [[], [(0, 1), (2, 3)]]
    assert set(PAIRINGS) == {"adjacent", "all", "swiss", "none"}


@given(st.integers(0, 30))
def test_what_hangs_on_no_verdict_is_asked_at_once(count):
    field, played = Field.of(count), [[pair_verdict(0, 1, "tie")]]
    for pairing in (neighbours, each_with_each, nothing):
        assert pairing(field, played) == []
    assert neighbours(field, []) == adjacent(count)


@given(st.integers(0, 30))
def test_each_with_each_asks_every_pair_once(count):
    assert sorted(each_with_each(Field.of(count), [])) == list(itertools.combinations(range(count), 2))


@given(st.integers(2, 30), st.integers(1, 400))
def test_the_first_pairs_of_each_with_each_are_about_all_candidates_alike(count, asked):
    pairs = each_with_each(Field.of(count), [])
    assert pairs[: count // 2] == adjacent(count)
    times = [sum(i in pair for pair in pairs[:asked]) for i in range(count)]
    rounds = -(-min(asked, len(pairs)) // (count // 2))
    # In each round one of an odd number sits out, never the same one twice.
    assert max(times) <= rounds
    assert min(times) >= rounds - 1 - count % 2


def tournament(count: int, say, able=None) -> list[list[tuple[int, int]]]:
    """The rounds of a Swiss tournament. say: (a, b) to the outcome of the pair as it is asked."""
    field = Field(count, tuple(range(count)) if able is None else able)
    rounds, verdicts = [], []
    while pairs := swiss(field, verdicts):
        rounds.append(pairs)
        verdicts.append([pair_verdict(*pair, say(*pair)) for pair in pairs])
    return rounds


@given(st.integers(0, 33), st.data())
def test_in_a_swiss_tournament_all_play_every_round_and_nobody_meets_another_twice(count, data):
    said = iter(data.draw(st.lists(SAID, min_size=count * 3, max_size=count * 3)))
    rounds = tournament(count, lambda a, b: next(said))
    assert len(rounds) == swiss_rounds(count)
    for pairs in rounds:
        assert all(a < b for a, b in pairs)
        assert len({i for pair in pairs for i in pair}) == 2 * len(pairs) == count - count % 2
    met = [pair for pairs in rounds for pair in pairs]
    assert len(set(met)) == len(met)
    out = [i for pairs in rounds for i in range(count) if i not in {j for pair in pairs for j in pair}]
    assert len(set(out)) == len(out), "nobody sits out twice while others never have"


@pytest.mark.parametrize(
    ("count", "rounds"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (8, 3), (10, 4), (16, 4), (17, 5)]
)
def test_so_many_rounds_single_out_one(count, rounds):
    assert swiss_rounds(count) == rounds


@given(st.integers(2, 20), st.randoms(use_true_random=False))
def test_the_best_wins_all_and_leaders_meet(count, dice):
    place = list(range(count))
    dice.shuffle(place)
    rounds = tournament(count, lambda a, b: "first" if place[a] < place[b] else "second")
    assert rounds[0] == adjacent(count)
    wins = dict.fromkeys(range(count), 0)
    for pairs in rounds:
        for a, b in pairs:
            wins[a if place[a] < place[b] else b] += 1
    best = place.index(0)
    # Of an odd number the best may have sat out, once.
    assert wins[best] >= max(wins.values()) - count % 2
    if count == 2 ** len(rounds):
        assert [i for i, won in wins.items() if won == len(rounds)] == [best]


def test_those_of_like_standing_meet_from_the_top():
    first = [pair_verdict(0, 1, "second"), pair_verdict(2, 3, "first"), pair_verdict(4, 5, "tie")]
    second = swiss(Field.of(6), [first])
    assert second == [(1, 2), (0, 4), (3, 5)], "4 and 5 have met"


def test_one_that_two_orders_find_out_and_one_without_an_answer_stand_where_they_stood():
    disagreeing = [pair_verdict(0, 1, "first"), pair_verdict(1, 0, "first")]
    first = [*disagreeing, pair_verdict(2, 3, "unparsed"), pair_verdict(4, 5, "second")]
    assert swiss(Field.of(6), [first]) == [(0, 5), (1, 2), (3, 4)]


def test_of_an_odd_number_the_last_in_standing_sits_out():
    first = [pair_verdict(0, 1, "first"), pair_verdict(2, 3, "first")]
    assert swiss(Field.of(5), []) == [(0, 1), (2, 3)]
    assert swiss(Field.of(5), [first]) == [(0, 2), (1, 4)]


def test_only_those_play_that_can_be_shown_and_differ():
    assert tournament(9, lambda a, b: "first", able=(1, 4, 7, 8)) == [[(1, 4), (7, 8)], [(1, 7), (4, 8)]]
    assert tournament(9, lambda a, b: "first", able=(3,)) == []

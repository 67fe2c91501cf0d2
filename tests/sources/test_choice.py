from hypothesis import given
from hypothesis import strategies as st

from urm_ray.sources.choice import Listed, draw, held_out, in_order, lot, prompt_key

ROWS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5), st.integers(0, 9)), unique_by=lambda row: row[0])


def listed(rows) -> list[Listed]:
    return [Listed(lot(0, str(i)), prompt_key(str(prompt)), unit) for i, prompt, unit in rows]


@given(ROWS, st.lists(st.integers(1, 7), min_size=1, max_size=30), st.randoms())
def test_draws_follow_one_another_without_gaps_whatever_order_rows_are_listed_in(rows, counts, dice):
    ordered = in_order(listed(rows), set())
    mixed = list(rows)
    dice.shuffle(mixed)
    assert in_order(listed(mixed), set()) == ordered
    start, seen = 0, []
    for count in counts:
        if start == len(ordered):
            break
        drawn = draw(ordered, start, count)
        own = [row for row in ordered if drawn.after < row.lot <= drawn.upto]
        assert own == ordered[start : start + count]
        assert drawn.units == tuple(sorted({row.unit for row in own}))
        seen += own
        start = drawn.stop
    assert seen == ordered[: len(seen)]


def test_rows_of_one_id_are_drawn_together():
    rows = in_order([Listed("b", "p", 1), Listed("a", "p", 0), Listed("b", "q", 2), Listed("c", "p", 0)], set())
    drawn = draw(rows, 0, 2)
    assert (drawn.stop, drawn.units) == (3, (0, 1, 2))
    assert draw(rows, drawn.stop, 1).after == "b"


@given(ROWS, st.integers(0, 70))
def test_whole_prompts_are_held_out_until_there_are_enough_rows(rows, wanted):
    own = listed(rows)
    kept = held_out(own, 3, wanted)
    found = [row for row in own if row.prompt in kept]
    assert len(found) >= min(wanted, len(own))
    assert not {row.prompt for row in in_order(own, kept)} & kept
    assert not kept or any(sum(row.prompt != key for row in found) < wanted for key in kept)


def test_the_seed_decides():
    assert lot(0, "a") == lot(0, "a") != lot(1, "a")
    rows = listed([(i, i, 0) for i in range(30)])
    assert len({frozenset(held_out(rows, seed, 5)) for seed in range(6)}) > 1

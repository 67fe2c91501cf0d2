"""Sequences are cut so that what several begin with is in one piece, and every token is in exactly one of its row's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.judge.prefixes import Prefixes, batches

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=12)


def cut(rows: list[list[int]], least: int) -> Prefixes:
    return Prefixes([np.array(row) for row in rows], least)


def path(prefixes: Prefixes, row: int) -> list[int]:
    """The pieces of a row, first to last."""
    found = []
    number = prefixes.last[row]
    while number is not None:
        found.append(number)
        number = prefixes.pieces[number].before
    return found[::-1]


@given(ROWS, st.integers(1, 6))
def test_the_pieces_of_a_row_put_together_are_the_row(rows, least):
    prefixes = cut(rows, least)
    for number, row in enumerate(rows):
        pieces = [prefixes.pieces[n] for n in path(prefixes, number)]
        assert [piece.level for piece in pieces] == list(range(len(pieces)))
        assert [token for piece in pieces for token in rows[piece.row][piece.start : piece.end]] == row
        for place in range(len(row)):
            piece = prefixes.pieces[prefixes.piece_of(number, place)]
            assert piece.start <= place < piece.end
            assert piece in pieces
        with pytest.raises(IndexError):
            prefixes.piece_of(number, len(row))


@given(ROWS)
def test_no_beginning_is_in_two_pieces_where_the_shortest_may_be_shared(rows):
    prefixes = cut(rows, 1)
    beginnings = {tuple(row[: n + 1]) for row in rows for n in range(len(row))}
    assert sum(piece.length for piece in prefixes.pieces) == len(beginnings)


@given(ROWS, st.integers(1, 6))
def test_what_is_shared_and_goes_on_is_as_long_as_asked(rows, least):
    prefixes = cut(rows, least)
    parents = {piece.before for piece in prefixes.pieces} - {None}
    assert all(prefixes.pieces[number].length >= least for number in parents)
    assert sorted(n for level in prefixes.levels() for n in level) == list(range(len(prefixes.pieces)))


def test_rows_that_are_equal_are_read_once_however_short():
    prefixes = cut([[1, 2], [1, 2], [1, 3]], 5)
    assert prefixes.last[0] == prefixes.last[1] != prefixes.last[2]
    assert [piece.length for piece in prefixes.pieces] == [2, 2]


@given(st.lists(st.integers(1, 40), max_size=30), st.floats(0, 100), st.integers(1, 200))
def test_batches_hold_every_row_once_and_no_more_tokens_than_allowed(lengths, pass_tokens, most_tokens):
    groups = batches(lengths, pass_tokens, most_tokens)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[row] for row in group) <= most_tokens


def test_rows_of_like_length_are_together_unless_passes_are_dear():
    lengths = [10, 50, 10, 50, 11]
    assert sorted(map(sorted, batches(lengths, 20, 10_000))) == [[0, 2, 4], [1, 3]]
    assert sorted(map(sorted, batches(lengths, 0, 10_000))) == [[0, 2], [1, 3], [4]]
    assert sorted(map(sorted, batches(lengths, 1000, 10_000))) == [[0, 1, 2, 3, 4]]
    assert batches([], 1, 1) == []

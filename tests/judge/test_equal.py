import pytest
from helpers import NOT_A_PICTURE, candidate
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.judge.equal import distinct, first_equals, normalised


def says(index: int, text: str | None, **changes) -> dict:
    return candidate(index, media=None, text=text, **changes)


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        ("A red circle.", " a  red\ncircle", True),
        ("ﬁve", "five", True),
        ("Yes!", "yes", True),
        ("a red circle", "a red circles", False),
        ("3.5", "35", False),
        ("-1", "1", False),
        ("no, red", "no red", False),
        ("Wo?", "wo", False),
    ],
)
def test_texts_are_equal_when_they_read_the_same(one, two, equal):
    assert (normalised(one) == normalised(two)) is equal
    assert first_equals([says(0, one), says(1, two)]) == {0: 0, 1: 0 if equal else 1}


@given(st.text())
def test_normalising_twice_is_normalising_once(text):
    assert normalised(normalised(text)) == normalised(text)


@given(st.lists(st.sampled_from("abc"), max_size=8))
def test_every_group_is_named_by_its_first(texts):
    found = first_equals([says(10 + n, text) for n, text in enumerate(texts)])
    assert found == {10 + n: 10 + texts.index(text) for n, text in enumerate(texts)}
    assert distinct([says(10 + n, text) for n, text in enumerate(texts)]) == [
        10 + n for n, text in enumerate(texts) if text not in texts[:n]
    ]


def test_pictures_are_equal_when_their_files_are():
    same = candidate(0)["media"]
    assert first_equals([candidate(0), candidate(1), candidate(2, media=same)]) == {0: 0, 1: 1, 2: 0}


def test_what_was_never_made_equals_nothing():
    nothing = [says(n, None, error="the answer is empty") for n in range(2)]
    unknown = [candidate(n, media=NOT_A_PICTURE | {"sha256": None}) for n in (2, 3)]
    blank = [says(n, None) for n in (4, 5)]
    assert distinct([*nothing, *unknown, *blank]) == list(range(6))


def test_a_text_is_no_picture():
    media = candidate(0)["media"]
    assert distinct([candidate(0, media=media), says(1, media["sha256"])]) == [0, 1]

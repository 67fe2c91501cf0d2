import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.sources.json_spans import SpanError, find_records, line_spans, list_spans

TRICKY = st.text(st.sampled_from('ab"\\[]{},: \n\tü€😀'), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | TRICKY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=3),
    max_leaves=12,
)
CHUNKS = st.integers(1, 40)


def cut(data: bytes, spans) -> list:
    return [json.loads(data[begin:end]) for begin, end in spans]


@given(
    st.lists(VALUES, max_size=6), CHUNKS, st.booleans(), st.sampled_from([None, 1]), st.sampled_from([b"", b"\n \n"])
)
def test_the_items_of_any_list_are_found_whatever_the_chunks(items, chunk, ascii_only, indent, after):
    data = json.dumps(items, ensure_ascii=ascii_only, indent=indent).encode() + after
    form, begin = find_records(io.BytesIO(data))
    assert form == "list"
    assert cut(data, list_spans(io.BytesIO(data), begin, chunk=chunk)) == items


@given(st.lists(VALUES, min_size=1, max_size=6), CHUNKS, st.data())
def test_a_part_of_a_list_is_read_alone(items, chunk, data):
    text = json.dumps(items, indent=data.draw(st.sampled_from([None, 2]))).encode()
    spans = list(list_spans(io.BytesIO(text), 1))
    first = data.draw(st.integers(0, len(spans) - 1))
    last = data.draw(st.integers(first, len(spans) - 1))
    part = list_spans(io.BytesIO(text), spans[first][0], spans[last][1], chunk=chunk)
    assert cut(text, part) == items[first : last + 1]


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), max_size=6), CHUNKS)
def test_the_lines_of_any_text_are_found_whatever_the_chunks(lines, chunk):
    data = "\n".join(lines).encode()
    found = [data[a:b].decode() for a, b in line_spans(io.BytesIO(data), 0, chunk=chunk)]
    assert found == (lines[:-1] if lines and not lines[-1] else lines)


@given(st.dictionaries(TRICKY, VALUES, max_size=3), st.lists(VALUES, max_size=4), st.dictionaries(TRICKY, VALUES))
def test_a_list_inside_an_object_is_found_behind_and_before_anything(before, items, after):
    key = "pairs"
    data = json.dumps({k: v for k, v in before.items() if k != key} | {key: items} | after).encode()
    form, begin = find_records(io.BytesIO(data), key)
    assert form == "list"
    assert cut(data, list_spans(io.BytesIO(data), begin, alone=False, chunk=7)) == items


def test_a_key_deeper_down_and_a_text_that_looks_like_the_key_are_passed_over():
    data = b'{"meta": {"pairs": [1]}, "\\"pairs": [2], "text": "\\"pairs\\": [3]", "pairs" : [ 4 ], "more": [5]}'
    _, begin = find_records(io.BytesIO(data), "pairs")
    assert cut(data, list_spans(io.BytesIO(data), begin, alone=False)) == [4]


@given(st.lists(st.dictionaries(TRICKY, VALUES, max_size=2), min_size=1, max_size=4), st.data(), CHUNKS)
def test_a_list_that_breaks_off_gives_its_whole_items_and_says_where_the_rest_begins(items, data, chunk):
    text = json.dumps(items).encode()
    end = data.draw(st.integers(1, len(text) - 1))
    whole = [span for span in list_spans(io.BytesIO(text), 1) if span[1] < end]
    found = []
    with pytest.raises(SpanError, match="not closed") as caught:
        found.extend(list_spans(io.BytesIO(text[:end]), 1, chunk=chunk))
    assert found == whole
    assert caught.value.begin == (whole[-1][1] + 1 if whole else 1)


@pytest.mark.parametrize(
    ("data", "items", "problem"),
    [
        (b"[1, 2] 3", [1, 2], "more follows"),
        (b'[1, 2]{"a": 1}', [1, 2], "more follows"),
        (b"[1, 2}", [1], "closed that is not open"),
        (b"[", [], "not closed"),
        (b'["abc', [], "not closed"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_what_is_wrong_with_a_list_is_said_after_its_good_items(data, items, problem, chunk):
    found = []
    with pytest.raises(SpanError, match=problem):
        found.extend(list_spans(io.BytesIO(data), 1, chunk=chunk))
    assert cut(data, found) == items


def test_nothing_between_two_commas_is_an_item_that_will_not_parse_and_a_last_comma_is_none():
    data = b"[1,,2, ]"
    assert [data[a:b] for a, b in list_spans(io.BytesIO(data), 1)] == [b"1", b"", b"2"]


def test_brackets_of_another_kind_inside_an_item_do_not_lose_the_next():
    data = b'[{"a": [1}, {"b": 2}]'
    assert [data[a:b].strip() for a, b in list_spans(io.BytesIO(data), 1)][1:] == [b'{"b": 2}']


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b'\xef\xbb\xbf [{"a": 1}]', ("list", 5)),
        (b'\n\n{"a": 1}\n', ("lines", 2)),
        (b'{"a": 1}', ("lines", 0)),
        (b'broken\n{"a": 1}\n', ("lines", 0)),
        (b'{"a": \n', ("lines", 0)),
    ],
)
def test_the_form_is_told_by_the_content(data, form):
    assert find_records(io.BytesIO(data)) == form


@pytest.mark.parametrize(
    ("data", "inside", "problem"),
    [
        (b"", None, "empty"),
        (b" \n\t\n", None, "empty"),
        (b"<html>", None, "neither a list"),
        (b'{\n "a": 1\n}', None, "neither a list"),
        (b'{"pears": [1]}', "pairs", "no object with a list 'pairs'"),
        (b'{"pairs": 3}', "pairs", "no object with a list 'pairs'"),
        (b"\x1f\x8b\x08", None, "neither a list"),
    ],
)
def test_what_holds_no_records_is_said(data, inside, problem):
    with pytest.raises(SpanError, match=problem):
        find_records(io.BytesIO(data), inside)


class Counting(io.BytesIO):
    """Remembers the largest piece that was read at once."""

    largest = 0

    def read(self, size=-1):
        data = super().read(size)
        self.largest = max(self.largest, len(data))
        return data


def test_a_long_file_is_read_in_pieces():
    stream = Counting(b"[" + b", ".join(b'{"a": "%s"}' % (b"x" * 1000) for _ in range(5000)) + b"]")
    assert len(list(list_spans(stream, 1))) == 5000
    assert stream.largest <= 1 << 20


def test_brackets_that_never_end_are_not_all_remembered():
    with pytest.raises(SpanError, match="more than 1000 brackets are open"):
        list(list_spans(io.BytesIO(b"[1, " + b"[" * 100_000), 1))

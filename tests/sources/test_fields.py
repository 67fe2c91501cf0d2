import math

import pytest

from urm_ray.sources.fields import FieldError, drafts_of, integer, listed, mapping, number, text, texts, value
from urm_ray.sources.registry import Rejected


@pytest.mark.parametrize(
    ("read", "found", "result"),
    [
        (text, "  a b ", "a b"),
        (number, 3, 3.0),
        (number, "3.5", 3.5),
        (number, -0.5, -0.5),
        (integer, 4.0, 4),
        (integer, "7", 7),
        (listed, [1], [1]),
        (texts, ["a", "b"], ["a", "b"]),
        (mapping, {"a": 1}, {"a": 1}),
        (value, False, False),
    ],
)
def test_a_good_field_is_read(read, found, result):
    assert read({"x": found}, "x") == result
    assert type(read({"x": found}, "x")) is type(result)


@pytest.mark.parametrize("read", [text, number, integer, listed, texts, mapping, value])
@pytest.mark.parametrize("record", [{}, {"x": None}])
def test_what_is_missing_says_so(read, record):
    with pytest.raises(FieldError) as caught:
        read(record, "x")
    assert caught.value.reason == "no x"


@pytest.mark.parametrize(
    ("read", "found", "reason"),
    [
        (text, " \n", "empty x"),
        (text, 3, "x is not a text"),
        (number, "3,5", "x is not a number"),
        (number, "ten", "x is not a number"),
        (number, True, "x is not a number"),
        (number, [1], "x is not a number"),
        (number, math.nan, "x is not a finite number"),
        (number, "inf", "x is not a finite number"),
        (number, 10**400, "x is not a finite number"),
        (integer, 1.5, "x is not a whole number"),
        (listed, "ab", "x is not a list"),
        (listed, [], "empty x"),
        (texts, ["a", ""], "x is not a list of texts"),
        (texts, ["a", 1], "x is not a list of texts"),
        (mapping, [1], "x is not an object"),
    ],
)
def test_what_is_of_another_kind_says_so(read, found, reason):
    with pytest.raises(FieldError) as caught:
        read({"x": found}, "x")
    assert caught.value.reason == reason
    assert len(caught.value.detail) <= 80


def test_a_broken_field_costs_its_record_alone():
    def make(key, record):
        yield {"first": number(record, "a")}
        yield {"second": number(record, "b")}

    broken = Rejected("k2", "not JSON")
    records = [("k1", {"a": 1, "b": 2}), ("k2", broken), ("k3", {"a": 3}), ("k4", {"b": 4})]
    assert list(drafts_of(records, make)) == [
        {"first": 1.0},
        {"second": 2.0},
        broken,
        {"first": 3.0},
        Rejected("k3", "no b"),
        Rejected("k4", "no a"),
    ]

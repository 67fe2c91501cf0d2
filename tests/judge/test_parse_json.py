import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.judge.parsers import read
from urm_ray.judge.said import Expected
from urm_ray.judge.scale import Scale

WINNER = Expected("json_winner", "image")
SCORES = Expected("json_scores", "image", Scale("0-25", 0, 25), "Final Score", ("success", "overediting"))


def verdict(winner: object = "Image 2", **changes: object) -> dict:
    dims = [
        {"name": "subjects", "reason_1": "two", "reason_2": 'a "third"\nleg', "score_1": 3, "score_2": 7},
        {"name": "light", "reason_1": "", "reason_2": "{}", "score_1": 4.5, "score_2": 5.5},
    ]
    category = {"name": "Semantic Alignment", "dims": dims, "cat_reason": "so", "cat_winner": "Image 1"}
    return {"prompt": "{a}", "categories": [category], "reason": "x", "winner": winner} | changes


def test_the_winner_is_the_one_named_as_such_with_all_dimensions():
    said = read(json.dumps(verdict()), WINNER)
    assert said.outcome == "second"
    assert said.dimensions == (
        {"name": "Semantic Alignment: subjects", "first": 3.0, "second": 7.0},
        {"name": "Semantic Alignment: light", "first": 4.5, "second": 5.5},
    )


TEXT = json.dumps(verdict(), indent=2)


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```",
        f"Here is my view: {TEXT}\nI hope that it helps.",
        f"In set {{a, b}} of things.\n{TEXT}",
        f'<think>Image 1 is better, {{"winner": "Image 1"}}</think>{TEXT}',
        TEXT.replace('"Image 2"', '"image 2 "'),
        TEXT.replace("\n  ]", ",\n  ]").replace("\n}", ",\n}"),
        TEXT.replace("so", "line\n\tbreak"),
        f"{TEXT}\n\n{TEXT}",
    ],
)
def test_an_object_is_found_fenced_or_bare(text):
    assert read(text, WINNER).outcome == "second"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps(verdict("Image 1/2")), "the winner is 'Image 1/2'"),
        (json.dumps(verdict("Image 3")), "the winner is"),
        (json.dumps(verdict("Video 1")), "the winner is"),
        (json.dumps(verdict("Image 1 and Image 2")), "the winner is"),
        (json.dumps(verdict("Image \uff11")), "the winner is"),
        (json.dumps(verdict(2)), "the winner is '2'"),
        (json.dumps(verdict(None)), "the winner is"),
        (json.dumps(verdict(["Image 1"])), "the winner is"),
        (json.dumps({"cat_winner": "Image 1"}), "the JSON has no winner"),
        ('{"winner": "Image 1", "winner": "Image 2"}', "a key stands twice"),
        ('{"winner": "Image 1"} {"winner": "Image 2"}', "different values of winner"),
        ("{\"winner\": 'Image 1'}", "it is not JSON"),
        ('{"a": ' * 100_000, "too deep"),
        ('{"a": ' + "9" * 5000 + "}", "a number of the JSON cannot be read"),
        ("Image 1 is better", "no answer"),
        ("", "no answer"),
    ],
)
def test_what_is_not_exactly_one_winner_is_none_and_says_why(text, why):
    said = read(text, WINNER)
    assert said.outcome == "unparsed"
    assert why in str(said.reason)


@given(st.integers(0, len(TEXT) - 1))
def test_json_that_is_cut_off_anywhere_is_no_verdict(length):
    for cut_at in (None, 64):
        said = read(TEXT[:length], WINNER, cut_at)
        assert said.outcome == "unparsed"
        assert said.reason == ("" if cut_at is None else "no end within 64 tokens: ") + (
            "the JSON is cut off" if '"' in TEXT[:length] else "no answer in the form that was asked for"
        )


def test_an_object_that_is_whole_is_read_though_the_text_goes_on_without_an_end():
    assert read(f"{TEXT}\n\nImage 1 has", WINNER, 64).outcome == "second"


@pytest.mark.parametrize("broken", [{}, "dims", None, [{"dims": [5, {"name": "x", "score_1": "7", "score_2": 11}]}, 3]])
def test_dimensions_that_cannot_be_read_do_not_cost_the_verdict(broken):
    said = read(json.dumps(verdict(categories=broken)), WINNER)
    assert said.outcome == "second"
    assert said.dimensions in (None, ({"name": "None: x", "first": None, "second": None},))


def test_a_list_of_scores_is_read_with_its_mean():
    said = read('{\n\n"reasoning" : "fine, [short]",\n"score" : [20, 24.5],\n}', SCORES)
    assert (said.outcome, said.score) == ("score", 22.25)
    assert said.dimensions == ({"name": "success", "score": 20.0}, {"name": "overediting", "score": 24.5})
    wanted = Expected("json_scores", "image", SCORES.scale, "Final Score", SCORES.dimensions, None, "overediting")
    assert read('{"score": [20, 24.5]}', wanted).score == 24.5


NO_SCORES = """[20]|[20, 21, 22]|[20, 26]|[-1, 5]|["20", "21"]|20|null|[true, false]|[NaN, 5]|[1e999, 5]|[20, 21
[2,5, 3]|[20.5.1, 3]|{}|[[20, 21]]|[\u0662, 3]"""


@pytest.mark.parametrize("score", [*NO_SCORES.replace("\n", "|").split("|"), "[1" + "0" * 400 + ", 3]"])
def test_scores_that_are_not_exactly_those_asked_for_are_none(score):
    said = read(f'{{"reasoning": "x", "score": {score}}}', SCORES)
    assert (said.outcome, said.score) == ("unparsed", None)


@given(st.text(), st.sampled_from([WINNER, SCORES]))
def test_no_text_breaks_it(text, expected):
    assert read(text, expected).outcome in ("unparsed", "refused")


KEYS = st.sampled_from(["winner", "score", "categories", "dims", "name"]) | st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6) | st.sampled_from(["Image 1"]),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, JSON, max_size=4), st.sampled_from([WINNER, SCORES]))
def test_whatever_json_says_a_verdict_is_what_stands_there(value, expected):
    said = read(json.dumps(value), expected)
    if said.outcome == "first":
        assert value["winner"].strip() == "Image 1"
    if said.score is not None:
        assert said.score == sum(value["score"]) / 2

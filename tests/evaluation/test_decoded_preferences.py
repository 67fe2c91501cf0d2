"""Held-out preferences put to judges whose answers are decoded: no probabilities, only verdicts."""

import pyarrow as pa
import pytest
from helpers import FakeWriter, clip, pair_preference, picture, point_preference, shade_of

from urm_ray.evaluation.preferences import agreement, ask_preferences, right
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.media import encode_image
from urm_ray.pipeline.evaluate_judge import RESULT


def judge(answer, name: str = "unifiedreward_qwen") -> JudgeScorer:
    return JudgeScorer(FakeWriter(answer), protocol(name), readout="generate")


def darker(question) -> str:
    shades = [shade_of(image) for image in question.media]
    return f"Image {1 if shades[0] < shades[1] else 2} is better."


def asked(answer, *labels: str) -> list[dict]:
    return ask_preferences(judge(answer), [pair_preference(n, label) for n, label in enumerate(labels)])


def figures(results) -> dict:
    return agreement(results, 0, 100)


def test_verdicts_of_both_orders_are_kept_with_what_was_said():
    found = asked(darker, "first")[0]
    assert found["outcomes"] == ["first", "second"]
    assert found["texts"] == ["Image 1 is better.", "Image 2 is better."]
    assert (found["p_first"], found["p_second"], found["p_tie"]) == (None, None, None)
    table = pa.Table.from_pylist([found], RESULT)
    assert table["texts"].to_pylist() == [found["texts"]]


def test_both_orders_decide_without_probabilities():
    found = asked(darker, "first", "second", "tie")
    assert [right(result) for result in found[:2]] == [True, False]
    measured = figures(found)
    assert (measured["pair_accuracy"]["value"], measured["pair_accuracy"]["n"]) == (0.5, 2)
    assert measured["pair_accuracy_strict"]["value"] == 0.5
    assert measured["tie_accuracy"]["value"] == 0.0
    assert measured["order_agreement"]["value"] == 1.0
    assert measured["calibration_error"]["value"] is None  # what was decoded has no probability
    assert measured["unparsed"] == 0


def test_orders_that_disagree_are_a_tie():
    # A judge that goes by place alone is right about nothing that people were sure of.
    measured = figures(asked(lambda q: "Image 1 is better.", "first", "second", "tie"))
    assert measured["pair_accuracy"]["value"] == 0.0
    assert measured["pair_accuracy_strict"]["value"] == 0.0
    assert measured["tie_accuracy"]["value"] == 1.0
    assert measured["order_agreement"]["value"] == 0.0
    assert measured["unparsed"] == 0


def test_a_tie_in_both_orders_is_a_tie():
    measured = figures(asked(lambda q: "Both images are equally good.", "first", "tie"))
    assert (measured["pair_accuracy"]["value"], measured["tie_accuracy"]["value"]) == (0.0, 1.0)
    assert measured["order_agreement"]["value"] == 1.0


@pytest.mark.parametrize("silent", ["I'm sorry, I cannot compare them.", "", "Image 1 is better. Image 2 is better."])
def test_an_answer_missing_in_one_order_is_wrong_and_counted_apart(silent):
    found = asked(lambda q: darker(q) if shade_of(q.media[0]) == 10 else silent, "first", "tie")
    assert found[0]["outcomes"][0] == "first"
    assert found[0]["outcomes"][1] in ("refused", "unparsed")
    measured = figures(found)
    for name in ("pair_accuracy", "pair_accuracy_strict", "tie_accuracy", "order_agreement"):
        assert measured[name]["value"] == 0.0, name
    assert measured["unparsed"] == 2


def test_points_are_those_that_were_said():
    shades = {10: "Final Score: 2.5", 20: "Final Score: 4", 30: "Final Score: 11", 40: "Final Score: 1"}
    rows = [
        point_preference(n, score, candidates=[{"media": encode_image(picture(shade)), "text": None}])
        for n, (shade, score) in enumerate([(10, 3.0), (20, 5.0), (30, 4.0), (40, 1.0)])
    ]
    found = ask_preferences(judge(lambda q: shades[shade_of(q.media[0])]), rows)
    assert [result["judged"] for result in found] == [2.5, 4.0, None, 1.0]
    measured = figures(found)
    assert (measured["point_spearman"]["value"], measured["point_spearman"]["n"]) == (1.0, 3)
    assert measured["unparsed"] == 1


@pytest.mark.parametrize(("dimension", "judged"), [("motion", 1.0), ("fidelity", 2.0), (None, 2.0)])
def test_a_point_in_one_dimension_is_judged_in_it(dimension, judged):
    grades = {"this text says": "Good.", "true to life": "Normal.", "move as they should": "Bad."}

    def answer(question) -> str:
        words = question.messages[0]["content"][-1]["text"]
        return next(grade for part, grade in grades.items() if part in words)

    scorer = judge(answer, "lift")
    scale = {"name": "bad-normal-good", "minimum": 1, "maximum": 3}
    film = [{"media": clip([1, 2]), "text": None}]
    row = point_preference(0, 1.0, task="video_generation", scale=scale, dimension=dimension, candidates=film)
    assert ask_preferences(scorer, [row])[0]["judged"] == judged
    assert len(scorer.engine.asked) == (3 if dimension is None else 1)

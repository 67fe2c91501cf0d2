import pytest
from helpers import (
    NOT_A_PICTURE,
    SCALE,
    FakeEngine,
    as_answers,
    clip,
    pair_preference,
    picture,
    point_preference,
    prefer_darker,
    shade_of,
)

from urm_ray.config_policy import ClipConfig
from urm_ray.evaluation.preferences import agreement, ask_preferences
from urm_ray.judge.engine import Reading
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.media import encode_image

UNIFIED = protocol("unified")


def judge(answer, min_mass=0.1) -> JudgeScorer:
    return JudgeScorer(FakeEngine(answer), UNIFIED, min_mass)


def shown(*shades: int) -> list[dict]:
    return [{"media": encode_image(picture(shade)), "text": None} for shade in shades]


def result(label="first", p=(0.7, 0.2, 0.1), outcomes=("first", "second"), **changes) -> dict:
    first, second, tie = p
    return {
        "preference_id": "x",
        "task": "image_generation",
        "kind": "pair",
        "label": label,
        "score": None,
        "outcomes": list(outcomes),
        "p_first": first,
        "p_second": second,
        "p_tie": tie,
        "judged": None,
    } | changes


def point(human: float, judged: float | None) -> dict:
    return result(None, (None,) * 3, ["score"]) | {"kind": "point", "score": human, "judged": judged}


def figures(results) -> dict:
    return agreement(results, 0, 100)


def test_a_pair_is_asked_in_both_orders_and_turned_back():
    def answer(question):  # a judge with its own view and a bias for what it sees first
        first, second = prefer_darker(question).probabilities[:2]
        return Reading([first * 0.8 + 0.1, second * 0.8, 0.1 * 0.8 + 0.1], 1.0)

    found = ask_preferences(judge(answer), [pair_preference(), pair_preference(1, candidates=shown(20, 10))])
    one, two = found
    assert one["outcomes"] == ["first", "second"]
    assert two["outcomes"] == ["second", "first"]
    assert one["p_first"] == pytest.approx((0.74 + 0.64) / 2)
    assert one["p_second"] == pytest.approx((0.08 + 0.18) / 2)
    assert one["p_tie"] == pytest.approx(0.18)
    assert (two["p_first"], two["p_second"]) == pytest.approx((one["p_second"], one["p_first"]))
    assert sum(one[f"p_{name}"] for name in ("first", "second", "tie")) == pytest.approx(1)


def test_rows_keep_their_order_and_their_human_judgement():
    rows = [point_preference(0, 4.0), pair_preference(1, "second"), point_preference(2, 2.5), pair_preference(3, "tie")]
    found = ask_preferences(judge(prefer_darker), rows)
    assert [r["preference_id"] for r in found] == [r["preference_id"] for r in rows]
    assert [(r["kind"], r["label"], r["score"]) for r in found] == [(r["kind"], r["label"], r["score"]) for r in rows]
    assert [len(r["outcomes"]) for r in found] == [1, 2, 1, 2]


def test_a_point_is_scored_and_a_pair_is_not():
    found = ask_preferences(judge(prefer_darker), [point_preference(candidates=shown(2)), pair_preference()])
    assert (found[0]["judged"], found[0]["p_first"]) == (3.0, None)
    assert found[1]["judged"] is None


def test_answers_are_asked_with_their_picture_in_both_orders():
    scorer = judge(lambda q: Reading([0.7, 0.2, 0.1], 1.0))
    ask_preferences(scorer, [as_answers(pair_preference(), "red", "blue")])
    texts = [[p["text"] for p in q.messages[0]["content"] if p["type"] == "text"] for q in scorer.engine.asked]
    assert [t[1:3] for t in texts] == [["Answer 1: red\n", "Answer 2: blue\n"], ["Answer 1: blue\n", "Answer 2: red\n"]]
    assert [[shade_of(i) for i in q.media] for q in scorer.engine.asked] == [[50], [50]]


def test_a_point_is_asked_and_told_on_its_own_scale():
    scorer = judge(lambda q: Reading([float(a.endswith(" 3")) for a in q.answers], 1.0))
    row = point_preference(0, 9.0, scale=SCALE | {"name": "1-10", "maximum": 10})
    assert ask_preferences(scorer, [row])[0]["judged"] == 3.0
    assert len(scorer.engine.asked[0].answers) == 10


def test_a_picture_that_does_not_decode_costs_its_own_row():
    # Defect 27: one bad row ended the whole evaluation, or shrank its denominator unseen.
    bad = pair_preference(0, candidates=[shown(1)[0], {"media": NOT_A_PICTURE, "text": None}])
    found = ask_preferences(
        judge(prefer_darker), [bad, pair_preference(1), point_preference(2, candidates=[bad["candidates"][1]])]
    )
    assert [r["outcomes"] for r in found] == [["media_error"] * 2, ["first", "second"], ["media_error"]]
    measured = figures(found)
    assert measured["pair_accuracy"]["n"] == 2
    assert measured["pair_accuracy"]["value"] == 0.5
    assert measured["unparsed"] == 2


def test_a_judge_that_does_not_answer_is_wrong_and_counted():
    found = ask_preferences(
        judge(lambda q: Reading([1.0, 0.0, 0.0][: len(q.answers)] + [0.0] * (len(q.answers) - 3), 0.01)),
        [
            pair_preference(0, "first"),
            pair_preference(1, "second"),
            pair_preference(2, "tie"),
            point_preference(3),
        ],
    )
    measured = figures(found)
    for name in ("pair_accuracy", "pair_accuracy_strict", "tie_accuracy", "order_agreement"):
        assert measured[name]["value"] == 0.0, name
    assert measured["unparsed"] == 4
    assert measured["point_spearman"] == {"value": None, "ci95": [None, None], "n": 0}


@pytest.mark.parametrize("label", ["first", "second"])
def test_a_judge_that_goes_by_place_alone_is_right_about_nothing(label):
    # Defects 5 and 25: between equals candidate 1 was taken, so a judge that never looked scored half or more.
    found = ask_preferences(
        judge(lambda q: Reading([0.75, 0.125, 0.125], 1.0)), [pair_preference(n, label) for n in range(4)]
    )
    measured = figures(found)
    assert measured["pair_accuracy"]["value"] == 0.0
    assert measured["pair_accuracy_strict"]["value"] == 0.0
    assert measured["order_agreement"]["value"] == 0.0


def test_accuracies_by_hand():
    measured = figures(
        [
            result("first", (0.6, 0.3, 0.1)),  # right
            result("first", (0.3, 0.6, 0.1), ("second", "first")),  # wrong
            result("second", (0.2, 0.3, 0.5), ("tie", "tie")),  # right, but a tie where ties count
            result("tie", (0.2, 0.3, 0.5), ("tie", "tie")),  # a tie that was seen
            result("tie", (0.5, 0.4, 0.1), ("first", "first")),  # a tie that was missed, and orders that disagree
        ]
    )
    assert (measured["pair_accuracy"]["value"], measured["pair_accuracy"]["n"]) == (pytest.approx(2 / 3, abs=1e-6), 3)
    assert (measured["pair_accuracy_strict"]["value"], measured["pair_accuracy_strict"]["n"]) == (
        pytest.approx(1 / 3, abs=1e-6),
        3,
    )
    assert (measured["tie_accuracy"]["value"], measured["tie_accuracy"]["n"]) == (0.5, 2)
    assert (measured["order_agreement"]["value"], measured["order_agreement"]["n"]) == (0.8, 5)
    # Two of 0.6, three of 0.5: gaps of |1.2 - 1| and |1.5 - 1| of five.
    assert measured["calibration_error"]["value"] == pytest.approx((0.2 + 0.5) / 5, abs=1e-6)
    assert measured["calibration_error"]["n"] == 5
    assert measured["unparsed"] == 0


@pytest.mark.parametrize(
    ("outcomes", "agree"),
    [
        (("first", "second"), 1),
        (("second", "first"), 1),
        (("tie", "tie"), 1),
        (("first", "first"), 0),
        (("second", "second"), 0),
        (("tie", "first"), 0),
        (("unparsed", "unparsed"), 0),
        (("media_error", "media_error"), 0),
        (("first",), 0),
    ],
)
def test_orders_agree_when_they_name_the_same_candidate(outcomes, agree):
    assert figures([result(outcomes=outcomes)])["order_agreement"]["value"] == agree


def test_points_are_compared_by_rank_and_those_without_a_score_are_counted():
    measured = figures([point(1, 1.5), point(2, 2.0), point(10, 3.9), point(9, 3.1), point(5, None)])
    assert measured["point_spearman"]["value"] == 1.0
    assert measured["point_spearman"]["n"] == 4
    assert measured["unparsed"] == 1


def test_no_rows_have_no_figures():
    measured = figures([])
    assert measured.pop("unparsed") == 0
    assert all(figure == {"value": None, "ci95": [None, None], "n": 0} for figure in measured.values())


def test_a_long_file_is_asked_in_parts_and_its_answers_keep_their_order():
    rows = [
        point_preference(n, candidates=shown(n % 5)) if n % 3 else pair_preference(n, candidates=shown(n % 250, 7))
        for n in range(150)
    ]
    most = []

    class Counting(FakeEngine):
        def read(self, questions):
            most.append(len({id(image) for q in questions for image in q.media}))
            return super().read(questions)

    found = ask_preferences(JudgeScorer(Counting(prefer_darker), UNIFIED), rows)
    assert [r["preference_id"] for r in found] == [row["preference_id"] for row in rows]
    for n, answer in enumerate(found):
        if n % 3:
            assert answer["judged"] == 5 - n % 5
        else:
            assert answer["outcomes"][0] == ("first" if n % 250 < 7 else "second" if n % 250 > 7 else "tie")
    assert len(most) == 3
    assert max(most) < 150


def test_a_clip_is_asked_about_in_both_orders():
    def longer(question):
        counts = [len(film.frames) for film in question.media]
        return Reading([0.8, 0.1, 0.1] if counts[0] > counts[1] else [0.1, 0.8, 0.1], 1.0)

    clips = [{"media": clip(range(n)), "text": None} for n in (2, 5)]
    row = pair_preference(0, "second", task="video_generation", candidates=clips)
    found = ask_preferences(JudgeScorer(FakeEngine(longer), UNIFIED, sampling=ClipConfig(maximum=9)), [row])[0]
    assert found["outcomes"] == ["second", "first"]
    assert found["p_second"] == 0.8

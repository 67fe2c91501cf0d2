"""Figures of whole benchmarks from stored predictions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_benchmarks.predictions import point, row, rows, swapped, verdict

from urm_ray import schema
from urm_ray.evaluation.calls import judgements
from urm_ray.reward_benchmarks.comparison import Measuring
from urm_ray.reward_benchmarks.registry import BENCHMARKS, benchmark
from urm_ray.reward_benchmarks.results import measured
from urm_ray.reward_benchmarks.vl_rewardbench import majority, majority_figures

HOW = Measuring(seed=0, resamples=100)


def of(name, asked, aside=(), how=HOW):
    return measured(benchmark(name), asked, aside, how)


def columns(found):
    return {column["name"]: column["value"] for column in found["columns"]}


def vl_rows(right, sizes, outcome="first"):
    """As many items of each group, as many of them right in both orders."""
    asked = []
    for group, size in sizes.items():
        for number in range(size):
            said = "first" if number < right[group] else "second"
            asked.append(row("first", said, said, len(asked), group=f"{group}/part"))
    return asked


OFFICIAL = {"general": 183, "hallucination": 749, "reasoning": 318}


def test_overall_of_vl_rewardbench_is_by_items_and_macro_by_groups():
    """With the groups of the paper's row, 60.6, 78.4 and 60.5, overall is 71.2 and not the 66.1 beside them."""
    right = {"general": 111, "hallucination": 587, "reasoning": 192}
    found = of("vl_rewardbench", vl_rows(right, OFFICIAL))
    shown = {name: round(100 * value, 1) for name, value in columns(found).items()}
    assert shown["General"] == 60.7  # 111 of 183; 60.6 is not a share of 183
    assert (shown["Hallucination"], shown["Reasoning"]) == (78.4, 60.4)
    assert (shown["Overall"], shown["Macro"]) == (71.2, 66.5)
    assert found["complete"] is True
    assert {c["name"]: c["n"] for c in found["columns"]}["General"] == 183


def test_a_part_of_a_benchmark_is_told_from_the_whole():
    right = {"general": 1, "hallucination": 1, "reasoning": 1}
    assert of("vl_rewardbench", vl_rows(right, OFFICIAL | {"general": 182}))["complete"] is False
    assert (
        of("vl_rewardbench", vl_rows(right, {"general": 631, "hallucination": 301, "reasoning": 318}))["complete"]
        is False
    )
    one = [row("first", "first", "first")]
    assert of("preferences", one)["complete"] is None
    assert measured(benchmark("preferences"), one, [], HOW, limited=True)["complete"] is False
    assert of("preferences", one, [{"reason": "missing clip"}])["complete"] is False
    assert of("preferences", [*one, one[0] | {"skipped": "no place"}])["complete"] is False
    assert of("genai_bench_edit", [row("first", "first", "first", i) for i in range(983)])["complete"] is True
    assert of("genai_bench_edit", [row("first", "first", "first", i) for i in range(982)])["complete"] is False


def test_a_majority_is_of_judgements_whose_orders_ids_draw():
    torn = [row("first", "first", "second", i, group="general/x") for i in range(300)]
    found = [majority(one, HOW) for one in torn]
    for one, said in zip(torn, found, strict=True):
        firsts = judgements(one, 9, 0).count("first")
        assert said == ("agree" if firsts > 4 else "reject")
    assert 0.4 < found.count("agree") / 300 < 0.6


def test_items_without_a_majority_leave_the_denominator_and_are_counted():
    asked = [
        row("first", "first", "first", 0),
        row("second", "first", "first", 1),
        row("first", "unparsed", "unparsed", 2),
        row("first", "tie", "tie", 3),
    ]
    found = majority_figures({"general": asked}, HOW)
    assert (found["overall"]["value"], found["overall"]["n"], found["none"]) == (0.5, 2, 2)
    even = Measuring(resamples=100, judgements=10)
    halves = [one for i in range(200) if majority(one := row("first", "first", "second", i), even) == "none"]
    assert halves  # five of ten are no majority
    assert all(judgements(one, 10, 0).count("first") == 5 for one in halves)


@given(
    st.lists(st.tuples(st.sampled_from(["first", "second"]), st.sampled_from(["first", "second", "tie"])), min_size=1)
)
def test_a_judge_without_position_bias_has_the_same_figures_either_way_round(said):
    groups = list(OFFICIAL)
    asked = [
        row(label, answer, answer, i, group=f"{groups[i % 3]}/x", cluster=f"c{i % 7}")
        for i, (label, answer) in enumerate(said)
    ]
    assert of("vl_rewardbench", [swapped(one) for one in asked]) == of("vl_rewardbench", asked)


@pytest.mark.parametrize("name", BENCHMARKS)
@given(asked=rows(("first", "second"), 8))
def test_every_benchmark_measures_any_answers(name, asked):
    kind = benchmark(name)
    groups = [*kind.sizes] if "all" not in kind.sizes else [""]
    asked = [one | {"group": (groups or ["some"])[i % max(1, len(groups))]} for i, one in enumerate(asked)]
    found = of(name, asked, how=Measuring(resamples=20))
    assert found["title"] == kind.title
    assert found["items"] == {"asked": len(asked), "skipped": {}, "put_aside": {}}
    for column in found["columns"]:
        if column["value"] is not None:
            assert 0 <= column["value"] <= 1
            assert column["ci95"][0] <= column["value"] + 1e-6
            assert column["value"] <= column["ci95"][1] + 2e-6


@pytest.mark.parametrize("name", BENCHMARKS)
def test_nothing_asked_has_no_figures_and_is_no_error(name):
    found = of(name, [])
    assert {column["value"] for column in found["columns"]} == {None}
    assert {column["n"] for column in found["columns"]} == {0}


def test_what_was_left_out_is_counted_by_its_reason_and_in_no_figure():
    skipped = row("first", "first", "first", 1, skipped="the form cannot show it", pair_verdicts=[])
    asked = [row("first", "first", "second", 0), skipped, skipped | {"item_id": "other"}]
    aside = [{"row_id": "x", "stage": "y", "reason": "missing clip", "detail": "z"}] * 3
    found = of("preferences", asked, aside)
    assert found["items"] == {
        "asked": 1,
        "skipped": {"the form cannot show it": 2},
        "put_aside": {"missing clip": 3},
    }
    assert columns(found)["tau"] == 0.5


def test_genai_bench_has_the_four_way_accuracy_beside_tau_and_diff():
    tie = row("tie_bad", "tie", "tie", 2)
    tie["pair_verdicts"][0] = verdict(0, "tie", "[[A=B=Good]]")
    asked = [row("first", "first", "second", 0), row("tie_good", "tie", "first", 1), tie]
    found = of("genai_bench_image_v1", asked)
    assert columns(found) == {
        "tau": pytest.approx((0.5 + 0.5 + 1) / 3, abs=1e-6),
        "diff": 0.5,
        "tau, merged": pytest.approx(2 / 3, abs=1e-6),
        "diff, merged": 0.0,
        "Four-way, left first": pytest.approx(2 / 3, abs=1e-6),
    }


def test_videogen_rewardbench_has_scores_in_each_dimension():
    labels = [{"dimension": d, "label": name} for d, name in (("overall", "first"), ("VQ", "second"), ("TA", "tie"))]
    said = [point(0, 5.0), point(1, 3.0), point(0, 2.0, "VQ"), point(1, 4.0, "VQ"), point(0, 1.0, "TA")]
    asked = [row("first", "first", "first", i, labels=labels, point_verdicts=said) for i in range(10)]
    found = of("videogen_rewardbench", asked)
    shown = columns(found)
    assert (shown["Scores, diff"], shown["VQ scores, diff"]) == (1.0, 1.0)
    assert shown["TA scores, tau"] == 0.0  # one of two scores is missing
    assert found["figures"]["scores"]["TA"]["unscored"] == 10
    assert "MQ scores, tau" not in shown


def shares(name, first, second):
    return {"name": name, "first": first, "second": second}


def test_a_judge_that_compares_in_dimensions_is_held_against_the_labels_of_each():
    """A share of the candidate shown first is of the second where that was shown first."""
    labels = [{"dimension": d, "label": name} for d, name in (("overall", "first"), ("VQ", "second"), ("TA", "first"))]
    asked = []
    for number in range(4):
        one = row("first", "first", "first", number, labels=labels)
        one["pair_verdicts"][0]["dimensions"] = [shares("Alignment", 0.7, 0.3), shares("Style", 0.5, 0.5)]
        one["pair_verdicts"][1]["dimensions"] = [shares("Alignment", 0.4, 0.6), shares("Style", 0.5, 0.5)]
        asked.append(one)
    asked.append(row("first", "unparsed", "unparsed", 9, labels=labels))
    found = of("videogen_rewardbench", asked)
    assert columns(found)["TA, tau"] == pytest.approx(4 / 5)
    assert found["figures"]["dimensions"]["TA"]["verdicts"]["unparsed"] == 2
    assert set(found["figures"]["dimensions"]) == {"TA"}


def test_multimodal_rewardbench_has_overall_by_items_and_each_category():
    asked = [
        row("first", "first", "first", 0, group="safety/bias"),
        row("first", "first", "second", 1, group="safety/toxicity"),
        row("first", "second", "second", 2, group="vqa"),
        row("first", "unparsed", "first", 3, group="vqa"),
    ]
    found = of("multimodal_rewardbench", asked)
    assert columns(found) == {
        "Overall": 0.5,
        "safety": 0.75,
        "vqa": 0.25,
        "Macro": 0.5,
    }
    assert list(found["groups"]) == ["safety", "safety/bias", "safety/toxicity", "vqa"]
    assert found["groups"]["safety/toxicity"]["order_agreement"]["value"] == 0


def test_mmrb2_leaves_out_what_was_not_answered_in_the_official_figure_alone():
    asked = [row("first", "first", "unparsed", 0, group="t2i/wise"), row("second", "first", "second", 1, group="edit")]
    found = of("mmrb2", asked)
    assert columns(found)["Overall"] == 0.5
    official = next(c for c in found["columns"] if c["name"] == "Overall, of answered")
    assert (official["value"], official["n"]) == (pytest.approx(2 / 3, abs=1e-6), 3)
    assert columns(found)["Interleaved"] is None


def test_predictions_survive_their_file():
    asked = [row("tie_good", "tie", "refused", 0, point_verdicts=[point(0, 3.0), point(1, None)])]
    again = schema.table_of(asked, schema.PREDICTION).to_pylist()
    assert of("genai_bench_image", again) == of("genai_bench_image", asked)


@given(rows(), st.randoms(use_true_random=False))
def test_the_order_of_predictions_does_not_matter(asked, dice):
    shuffled = list(asked)
    dice.shuffle(shuffled)
    how = Measuring(resamples=20)
    assert of("genai_bench_image", shuffled, how=how) == of("genai_bench_image", asked, how=how)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.evaluation.policy import compare_policies, is_hacking
from urm_ray.sources.registry import SourceError


def row(prompt: str, values, scores=(3.0,), name: str = "whole", **other) -> dict:
    """An evaluated prompt: a figure and a judge's score for each of its pictures."""
    figures = [{"index": i, "name": name, "value": v} for i, v in enumerate(values)]
    figures += [{"index": i, "name": n, "value": v} for n, vs in other.items() for i, v in enumerate(vs)]
    verdicts = [
        {"index": i, "outcome": "score" if s is not None else "unparsed", "score": s} for i, s in enumerate(scores)
    ]
    return {"prompt_id": prompt, "prompt": prompt, "figures": figures, "point_verdicts": verdicts}


def compare(before, after, headline="whole") -> dict:
    return compare_policies(before, after, headline, 0, 200)


def test_the_gain_is_paired_by_prompt():
    before = [row(f"p{i}", [i / 10]) for i in range(10)]
    after = [row(f"p{i}", [i / 10 + 0.1]) for i in reversed(range(10))]
    found = compare(before, after)
    assert found["gain"]["value"] == pytest.approx(0.1)
    assert found["gain"]["ci95"] == pytest.approx([0.1, 0.1])  # every prompt gained the same, whatever its level
    assert found["before"]["ci95"][1] - found["before"]["ci95"][0] > 0.2
    assert found["after"]["value"] - found["before"]["value"] == pytest.approx(0.1)


def test_a_prompt_counts_once_however_many_pictures_it_has():
    before = [row("a", [0.0] * 9), row("b", [1.0])]
    found = compare(before, [row("a", [0.0]), row("b", [1.0])])
    assert found["before"]["value"] == 0.5
    assert found["before"]["n"] == 2


def test_only_prompts_that_both_policies_have_are_compared():
    before = [row("a", [0.0]), row("b", [1.0]), row("c", [1.0])]
    after = [row("a", [1.0]), row("b", [1.0]), row("d", [0.0])]
    found = compare(before, after)
    assert found["gain"]["n"] == found["before"]["n"] == found["after"]["n"] == 2
    assert (found["before"]["value"], found["after"]["value"], found["gain"]["value"]) == (0.5, 1.0, 0.5)


def test_a_figure_that_does_not_apply_to_a_prompt_is_not_a_zero():
    before = [row("a", [1.0], relation=[0.0]), row("b", [1.0])]
    after = [row("a", [1.0], relation=[1.0]), row("b", [1.0])]
    found = compare(before, after)["all"]
    assert (found["relation"]["gain"]["value"], found["relation"]["gain"]["n"]) == (1.0, 1)
    assert found["whole"]["gain"]["n"] == 2


def test_the_judges_own_score_is_reported_beside_the_independent_one():
    before = [row("a", [0.0], [2.0, None, 3.0]), row("b", [0.0], [None])]
    after = [row("a", [0.0], [4.0]), row("b", [0.0], [5.0])]
    found = compare(before, after)["all"]["judge_score"]
    assert (found["before"]["value"], found["after"]["value"], found["gain"]["n"]) == (2.5, 4.0, 1)


def test_a_policy_that_fails_at_its_prompts_is_told_from_one_that_does_not():
    before, after = [row("a", [0.0, 0.0], [2.0, 2.0]), row("b", [1.0])], [row("a", [1.0], [2.0]), row("b", [])]
    for failed in after:
        failed["point_verdicts"] += [{"index": 1, "outcome": "media_error", "score": None}]
    after[1]["point_verdicts"] = after[1]["point_verdicts"][1:]
    found = compare(before, after)
    assert found["gain"]["n"] == 1  # the survivor alone looks fine
    usable = found["all"]["usable"]
    assert (usable["before"]["value"], usable["after"]["value"], usable["gain"]["n"]) == (1.0, 0.25, 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(values, rng):
    before = [row(f"p{i}", [b]) for i, (b, _) in enumerate(values)]
    after = [row(f"p{i}", [a]) for i, (_, a) in enumerate(values)]
    assert compare(before, after) == compare(rng.sample(before, len(before)), rng.sample(after, len(after)))


def test_the_headline_is_one_of_the_figures():
    before, after = [row("a", [0.0], colour=[0.5])], [row("a", [1.0], colour=[0.25])]
    found = compare(before, after, "colour")
    assert found["headline"] == "colour"
    assert found["gain"] == found["all"]["colour"]["gain"]
    assert found["gain"]["value"] == -0.25
    assert set(found["all"]) == {"colour", "whole", "usable", "judge_score"}
    with pytest.raises(SourceError, match=r"evaluate\.headline: the scorer gives colour, whole, not hole"):
        compare(before, after, "hole")


def test_a_scorer_that_gave_nothing_is_named():
    with pytest.raises(SourceError, match="gives no figures, not whole"):
        compare([row("a", [])], [row("a", [])])


def test_the_judges_own_score_cannot_be_the_headline():
    with pytest.raises(SourceError, match="the scorer gives whole, not judge_score"):
        compare([row("a", [0.0])], [row("a", [1.0])], "judge_score")


def moved(figure: float, score: float, spread: float = 0.0) -> dict:
    """The comparison where 20 prompts gain so much in the figure and the judge's score, half more and half less."""
    before = [row(f"p{i}", [0.5], [3.0]) for i in range(20)]
    way = [(-1) ** i * spread for i in range(20)]
    after = [row(f"p{i}", [0.5 + figure + way[i]], [3.0 + score + way[i]]) for i in range(20)]
    return compare(before, after)


@pytest.mark.parametrize(
    ("figure", "score", "spread", "hacking"),
    [
        (-0.1, 0.5, 0.0, True),
        (-0.1, 0.5, 0.05, True),
        (0.1, 0.5, 0.0, False),
        (-0.1, -0.5, 0.0, False),
        (0.1, -0.5, 0.0, False),
        (-0.01, 0.5, 0.4, False),  # the figure's interval holds 0
        (-0.5, 0.01, 0.4, False),  # the judge's does
        (0.0, 0.0, 0.0, False),
    ],
)
def test_pleasing_the_judge_at_the_cost_of_the_truth_is_hacking(figure, score, spread, hacking):
    assert is_hacking(moved(figure, score, spread)) is hacking


def test_without_a_score_of_the_judge_there_is_no_hacking():
    assert not is_hacking(compare([row("a", [1.0], [None])], [row("a", [0.0], [None])]))

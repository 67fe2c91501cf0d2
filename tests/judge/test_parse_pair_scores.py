import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.judge.parsers import read
from urm_ray.judge.said import Expected

AXES = ("Alignment", "Coherence", "Style")
SHARES = Expected("pair_scores", "image", dimensions=AXES)
TWO = Expected("two_scores", "image")


def blocks(*shares: tuple[object, object], noun: str = "Image") -> str:
    return "\n\n".join(
        f"{name} Score:\n {noun} 1: {one}\n {noun} 2: {two}" for name, (one, two) in zip(AXES, shares, strict=True)
    )


PUBLISHED = blocks(
    (0.435699999332428, 0.564300000667572),
    (0.4180000126361847, 0.5820000171661377),
    (0.40790000557899475, 0.5921000242233276),
)


def test_shares_in_three_dimensions_are_read_as_published():
    said = read(PUBLISHED, SHARES)
    assert said.outcome == "second"
    assert said.dimensions is not None
    assert [one["name"] for one in said.dimensions] == list(AXES)
    assert said.dimensions[0] == {"name": "Alignment", "first": 0.435699999332428, "second": 0.564300000667572}
    assert read(f"<think>Image 1: 0.9</think>**{PUBLISHED}**", SHARES).outcome == "second"


@given(st.lists(st.integers(0, 10_000).map(lambda n: n / 10_000), min_size=3, max_size=3))
def test_the_higher_mean_wins_and_equal_means_are_a_tie(firsts):
    said = read(blocks(*((one, round(1 - one, 4)) for one in firsts)), SHARES)
    lead = round(sum(firsts), 4) - 1.5
    assert said.outcome == ("first" if lead > 1e-6 else "second" if lead < -1e-6 else "tie")


def test_other_layouts_of_the_same():
    for text in (
        PUBLISHED.replace(" Score:", ":"),
        PUBLISHED.replace("\n Image 2", ", Image 2"),
        PUBLISHED.replace("\n Image 2", " and Image 2"),
        PUBLISHED.replace("\n Image", "\n- **Image").replace(": 0", ":** 0"),
        PUBLISHED.lower(),
        f"Here is my view.\n\n{PUBLISHED}\n\nImage 2 is nearer to the caption.",
    ):
        assert read(text, SHARES).outcome == "second", text
    assert read(blocks(*[(0.6, 0.4)] * 3, noun="Video"), Expected("pair_scores", "video", dimensions=AXES)).outcome == (
        "first"
    )


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ((0.4, 0.5), "no shares of one"),
        ((1.4, -0.4), "no shares of one"),
        ((60, 40), "no shares of one"),
        (("0,4", "0,6"), "is not a plain number"),
        (("4/10", "6/10"), "out of something else"),
        (("\u0660.4", 0.6), "not written in the digits 0 to 9"),
        (("X", "Y"), "not scored"),
        (("", 0.6), "not scored"),
        (("0.4 or 0.5", 0.6), "followed by"),
    ],
)
def test_shares_that_are_none_cost_the_verdict_and_are_named(shares, why):
    said = read(blocks((0.9, 0.1), shares, (0.9, 0.1)), SHARES)
    assert said.outcome == "unparsed"
    assert str(said.reason).startswith("Coherence: ")
    assert why in str(said.reason)
    assert said.dimensions is not None
    assert said.dimensions[1] == {"name": "Coherence", "first": None, "second": None}
    assert said.dimensions[0] == {"name": "Alignment", "first": 0.9, "second": 0.1}


def test_a_dimension_that_is_missing_or_given_twice_costs_the_verdict():
    assert read(PUBLISHED.rpartition("\n\n")[0], SHARES).outcome == "unparsed"
    assert read(f"{PUBLISHED}\n\n{PUBLISHED}", SHARES).outcome == "second"
    assert read(f"{PUBLISHED}\n\n{blocks(*[(0.7, 0.3)] * 3)}", SHARES).outcome == "unparsed"


@pytest.mark.parametrize(("wanted", "outcome"), [("Alignment", "first"), ("Coherence", "second"), ("Style", "tie")])
def test_one_dimension_can_be_what_is_wanted(wanted, outcome):
    expected = Expected("pair_scores", "image", dimensions=AXES, wanted=wanted)
    assert read(blocks((0.9, 0.1), (0.2, 0.8), (0.5, 0.5)), expected).outcome == outcome


@given(st.decimals(-20, 20, places=3), st.decimals(-20, 20, places=3))
def test_scores_of_any_sign_are_compared_as_they_are(one, two):
    # Defect 29: the sign was dropped, and whole numbers were not seen.
    outcome = "first" if one > two else "second" if two > one else "tie"
    ways = [
        "Image 1: {}\nImage 2: {}",
        "Edited Image 1 score: {}, Edited Image 2 score: {}",
        "{}, {}",
        "[{}, {}]",
        "{}\n{}",
    ]
    ways += [
        "Score of Image 1 = {}\nScore of Image 2 = {}",
        "**Image 1:** {}\n\nIt is sharp.\n\n**Image 2:** {}",
        "{} and {}.",
    ]
    for way in ways:
        said = read(way.format(one, two), TWO)
        assert said.outcome == outcome, way
        assert said.dimensions == ({"name": "overall", "first": float(one), "second": float(two)},)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.5",
        "0,53",
        "0,53, 0,21",
        "1 2 3",
        "Image 1: 0.5",
        "Image 1: 0.5\nImage 2: high",
        "Image 1: 0,5\nImage 2: 0,3",
        "Image 1: 7/10\nImage 2: 5/10",
        "Image 1: 0.5\nImage 2: 0.3\nImage 1: 0.2",
        "Image 1: 2 cats\nImage 2: 3 cats",
        "Image 1: 5 to 6\nImage 2: 7",
        "Image 1: \u0665\nImage 2: 7",
        "Image 1: X\nImage 2: Y",
        "Image 1: nan\nImage 2: 1",
        f"Image 1: {'9' * 400}\nImage 2: 1",
        "The instruction has 2 steps and 3 parts.",
        "Image 1 scores 5 and image 2 scores 3",
    ],
)
def test_two_scores_that_are_not_exactly_two_are_none(text):
    assert read(text, TWO).outcome == "unparsed"


@given(st.text(), st.sampled_from([SHARES, TWO]))
def test_no_text_breaks_it(text, expected):
    assert read(text, expected).outcome in ("first", "second", "tie", "unparsed", "refused")


PARTS = st.lists(
    st.sampled_from(
        ["Alignment Score:", "Style:", "Image 1:", "Image 2:", "\n", "\n", "0.4", "0.6", "-1", "1,5", "/10", "and"]
    )
    | st.sampled_from(["Coherence Score:", "\n Image 1: 0.4\n Image 2: 0.6\n", "\n Image 1: 0.7\n Image 2: 0.3\n"]),
    max_size=16,
).map(" ".join)


@given(PARTS)
def test_a_verdict_on_shares_rests_on_shares_in_every_dimension(text):
    said = read(text, SHARES)
    if said.outcome in ("first", "second", "tie"):
        assert said.dimensions is not None
        assert all(abs(one["first"] + one["second"] - 1) <= 0.01 for one in said.dimensions)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.judge.parsers import read
from urm_ray.judge.said import Expected
from urm_ray.judge.scale import SCALES, Scale

FIVE = Expected("scores", "image", SCALES["1-5"])
HUNDRED = Expected("scores", "text", SCALES["0-100"])
ELEMENTS = Expected("scores", "image", SCALES["1-5"], marks="elements")
NAMES = ("visual quality", "temporal consistency", "dynamic degree", "text-to-video alignment", "factual consistency")
VIDEO = Expected("scores", "video", SCALES["1-10"], dimensions=NAMES, dimension_scale=SCALES["1-4"])
ACS = Expected("scores", "image", SCALES["1-5"], None, ("Alignment", "Coherence", "Style"), marks="words")
GRADE = Expected("scores", "video", SCALES["bad-normal-good"], dimensions=("motion",))
BELOW_ZERO = Expected("scores", "image", Scale("-10-10", -10, 10))


def score(text: str, expected: Expected = FIVE) -> str | float | None:
    return read(text, expected).meaning


def listed(text: str, expected: Expected) -> dict[str, float | None]:
    return {one["name"]: one["score"] for one in read(text, expected).dimensions or ()}


@given(st.decimals(1, 5, places=6), st.sampled_from(["", "The 2 dogs are blurred.\n", "a dog (animal): 1\n"]))
def test_a_fraction_is_kept_whatever_stands_before_or_behind(value, before):
    # Defect 3: 3.67 became 3, and where there was no label the first number of the text was taken.
    for behind in ("", ".", "\nIt has 6 fingers.", "</answer>"):
        assert score(f"{before}Final Score: {value}{behind}") == float(value)
    assert score(f"{before}{value}") is None


@pytest.mark.parametrize(
    "text",
    [
        "**Final Score:** 4",
        "**Final Score: 4**",
        "Final Score: **4**",
        "### Final Score: 4",
        "- Final Score: `4`",
        "_Final Score_: 4/5",
        "final score: 4",
        "Final Score (1-5): 4.0",
        "Final Score: 4 (out of 5)",
        "Final Score:\n4",
        "Final Score\uff1a4",
        "Final Score: 4. All 3 dogs are there.",
        "Final Score: 4 because the dog or the cat is out of focus.",
        "Final Score: 4, since the scale of the dog is right.",
        "On a scale of 1 to 5, Final Score: 4",
        "Final Score: 4\nFinal Score: 4.0",
        "Write the number behind \u201cFinal Score:\u201d.\nFinal Score: 4",
        "<think>Final Score: 2</think>Final Score: 4",
    ],
)
def test_the_same_score_in_other_dress(text):
    assert score(text) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Final Score: 10", "10 is not on the scale 1-5"),  # the published client reads 1
        ("Final Score: 8/10", "out of something else"),
        ("Final Score: 4 out of 10", "out of something else"),
        ("Final Score (1-10): 4", "on a scale from 1 to 10"),
        ("Final Score: 0.8", "0.8 is not on the scale"),
        ("Final Score: -4", "-4 is not on the scale"),
        ("Final Score: \u22124", "-4 is not on the scale"),
        ("Final Score: 3,67", "'3,67' is not a plain number"),
        ("Final Score: 4*2", "'4*2' is not a plain number"),
        ("Final Score: \u0663", "not written in the digits 0 to 9"),
        ("Final Score: \uff14", "not written in the digits 0 to 9"),
        ("Final Score: 4\u0663", "is not a plain number"),
        ("Final Score: 4 or 5", "followed by"),
        ("Final Score: 4 on a scale of 10", "followed by"),
        ("Final Score: 4\nFinal Score: 3", "given as 3 and 4"),
        ("Final Score: 4\nFinal Score: 3,5", "'3,5' is not a plain number"),
        ("Final Score: 4 - out of ten", "followed by"),
        ("Final Score: 4, out of ten", "followed by"),
        ("Final Score: 4 (of ten)", "followed by"),
        ("Final Score: 4 [ten-point scale]", "followed by"),
        ("Final Score: 4. (scale of 1-10)", "followed by"),
        ("Final Score: 4. Out of 10, that is.", "followed by"),
        ("On a scale of 1 to 10, Final Score: 4", "on a scale from 1 to 10"),
        ("On a scale from 0 to 10:\nFinal Score: 4", "on a scale from 0 to 10"),
        ("Final Score: 4. No wait, 3.", "followed by"),
        ("Final Score: 4; actually 3", "followed by"),
        ("Final Score: 4 (minus one for blur)", "followed by"),
        ("Final Score: 4, or rather three", "followed by"),
        ("Final Score: 3. 5", "followed by"),
        ("It is not Final Score: 4", "denied"),
        ("Final Score: four", "no answer"),
        ("Final Score:", "no answer"),
        ("Semi-Final Score: 4", "no answer"),
        ("Score: 4", "no answer"),
        ("4", "no answer"),
        ("", "no answer"),
    ],
)
def test_a_score_that_is_not_exactly_one_is_none_and_says_why(text, why):
    # Defect 2: a score that could not be read became 0, the ideal "rejected".
    said = read(text, FIVE)
    assert (said.outcome, said.score) == ("unparsed", None)
    assert why in str(said.reason)


def test_a_sign_and_an_end_of_the_scale_are_read():
    assert score("Final Score: -3.25", BELOW_ZERO) == -3.25
    assert score("Final Score: 0", HUNDRED) == 0
    assert score("It is right.\nFinal Score: 100", HUNDRED) == 100
    assert score("Final Score: 85 because it is right", HUNDRED) == 85


@given(st.text(), st.sampled_from([FIVE, ELEMENTS, VIDEO, ACS, GRADE]))
def test_no_text_breaks_it_or_leaves_the_scale(text, expected):
    said = read(text, expected)
    assert said.outcome in ("score", "unparsed", "refused")
    if said.score is not None:
        assert expected.scale.minimum <= said.score <= expected.scale.maximum


LINES = st.lists(
    st.sampled_from(
        ["Final Score:", "Alignment Score (1-5):", "Style Score:", "motion:", "visual quality:", "Good", "."]
    )
    | st.sampled_from(
        ["4", "3,5", "-2", "10", "\u0663", "1-5", "/5", "\n", "\n", "a dog (animal): 1", "**", "[[", '"a", 1']
    )
    | st.sampled_from(["Word-wise Scores:", "]]", "<think>", "</think>", "because", "Bad.", "out of 10"]),
    max_size=16,
).map(" ".join)


@given(LINES, st.sampled_from([FIVE, ELEMENTS, VIDEO, ACS, GRADE]))
def test_no_mixture_of_labels_and_numbers_leaves_its_scales(text, expected):
    said = read(text, expected)
    if said.score is not None:
        assert expected.scale.minimum <= said.score <= expected.scale.maximum
    own = expected.dimension_scale or expected.scale
    for name, value in listed(text, expected).items():
        assert value is None or name not in expected.dimensions or own.minimum <= value <= own.maximum


def test_elements_of_the_prompt_are_listed_with_their_marks():
    text = "a dog (animal): 1\n- red (color): 0\n**two** (count): 1.\nblue (color): 0.5\nNote (see above): fine\n"
    text += "Final Score: 3.67"
    marks = {"a dog (animal)": 1, "red (color)": 0, "two (count)": 1, "blue (color)": None}
    assert listed(text, ELEMENTS) == marks
    assert score(text, ELEMENTS) == 3.67


FEEDBACK = dict(zip(NAMES, (4, 3, 2, 1, 2), strict=True))


def test_five_dimensions_and_the_score_that_the_answer_gives_itself():
    text = "\n".join(f"{name}: {value}" for name, value in FEEDBACK.items()) + "\nFinal Score: 6"
    assert score(text, VIDEO) == 6
    assert listed(text, VIDEO) == FEEDBACK
    assert listed(text.replace("dynamic degree: 2", "dynamic degree: 5"), VIDEO) == FEEDBACK | {"dynamic degree": None}
    assert score(text.replace("dynamic degree: 2", "dynamic degree: 5"), VIDEO) == 6


def test_a_label_that_ends_another_is_not_taken_for_it():
    expected = Expected("scores", "video", SCALES["1-5"], None, ("alignment", "quality"))
    assert read("text-to-video alignment: 1\nvisual quality: 2", expected).outcome == "unparsed"
    assert listed("alignment: 1\nvisual quality: 2", expected) == {"alignment": 1, "quality": None}


@pytest.mark.parametrize("wanted", NAMES)
def test_one_dimension_can_be_what_is_wanted(wanted):
    expected = Expected("scores", "video", SCALES["1-10"], "Final Score", NAMES, SCALES["1-4"], wanted)
    text = "\n".join(f"({n}) {name}: {value}" for n, (name, value) in enumerate(FEEDBACK.items(), 1))
    assert score(text, expected) == FEEDBACK[wanted]
    assert score(text.replace(f"{wanted}: ", f"{wanted}: 1"), expected) is None


AXES = (
    "Alignment Score (1-5): 2.694700002670288\n"
    "Coherence Score (1-5): 2.371500015258789\n"
    "Style Score (1-5): 2.802500009536743"
)


def test_three_scores_without_one_overall_are_their_mean():
    found = {"Alignment": 2.694700002670288, "Coherence": 2.371500015258789, "Style": 2.802500009536743}
    assert score(AXES, ACS) == pytest.approx(sum(found.values()) / 3)
    assert listed(AXES, ACS) == found
    assert score(AXES.replace(" (1-5)", ""), ACS) == score(AXES, ACS)
    assert score(AXES.replace(" Score", ""), ACS) == score(AXES, ACS)


@pytest.mark.parametrize(
    "broken",
    [
        AXES.rpartition("\n")[0],
        AXES.replace("2.802500009536743", "2,8"),
        AXES.replace("2.802500009536743", "6"),
        AXES.replace("Style Score (1-5)", "Style Score (1-10)"),
        AXES + "\nStyle Score (1-5): 3",
    ],
)
def test_a_mean_needs_all_of_its_scores(broken):
    said = read(broken, ACS)
    assert said.outcome == "unparsed"
    assert "Style" in str(said.reason)
    assert listed(broken, ACS)["Style"] is None


def test_word_by_word_scores_are_listed():
    words = 'Word-wise Scores: [["a", 0.1], ["two", 0.7], ["[No_mistakes]", 0.25]]'
    found = listed(f"{words}\n\n{AXES}", ACS)
    assert {k: v for k, v in found.items() if k.startswith("word")} == {
        "word: a": 0.1,
        "word: two": 0.7,
        "word: [No_mistakes]": 0.25,
    }
    assert score(f"{words}\n{AXES}", ACS) == score(AXES, ACS)


@pytest.mark.parametrize("words", ['[["a", 0.1], ["dog"', '[["a", "b"]]', '[["a", NaN]]', '{"a": 1}', "", "[" * 5000])
def test_a_broken_list_of_words_costs_itself_and_is_named(words):
    text = f"{AXES}\nWord-wise Scores: {words}"
    assert listed(text, ACS)["words"] is None
    assert score(text, ACS) == score(AXES, ACS)


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("Good. Basically correct.", 3),
        ("**Normal.** The hand has six fingers.", 2),
        ("Bad: it flickers, nothing is good.", 1),
        ("bad", 1),
        ("Good\nThe motion is smooth.", 3),
        ("Not good.", None),
        ("The motion is good.", None),
        ("Good or bad.", None),
        ("Good. Bad.", None),
        ("Good, but bad", None),
        ("Good. Actually, Bad.", None),
        ("Good.\nNormal.", None),
        ("Gut.", None),
        ("3", None),
        ("", None),
    ],
)
def test_a_grade_in_words_stands_first(text, grade):
    # Defect 32: a grade that could not be read counted as good.
    assert score(text, GRADE) == grade
    if grade is not None:
        assert listed(text, GRADE) == {"motion": grade}

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from urm_ray.judge.protocol import PROTOCOLS, Form, Scale, protocol

TEN = Scale("1-10", 1, 10)
FORMS = [(name, task, kind, form) for name, p in PROTOCOLS.items() for (task, kind), form in p.forms.items()]
PAIRS = [form for *_, form in FORMS if form.scale is None]
POINTS = [form for *_, form in FORMS if form.scale is not None]
PAIR = protocol("unified").form("image_generation", "pair")
POINT = protocol("unified").form("image_generation", "point")
BELOW_ZERO = Form("{prompt}", ("",), {}, Scale("-10-10", -10, 10))
IN_TEN = Form("{prompt}", ("",), {f"Final Score: {v}": v for v in TEN.values}, TEN)


@pytest.mark.parametrize(("name", "task", "kind", "form"), FORMS)
def test_every_answer_means_what_its_form_says(name, task, kind, form):
    for answer, meaning in form.answers.items():
        assert form.parse(answer) == meaning
        assert form.answer_for(meaning) == answer
        assert form.parse(f"  {answer}\n") == meaning
    with pytest.raises(ValueError, match="no answer of this form means 'third'"):
        form.answer_for("third")


@pytest.mark.parametrize(("name", "task", "kind", "form"), FORMS)
def test_every_form_has_a_slot_for_each_candidate_and_says_the_prompt(name, task, kind, form):
    parts = form.parts("a red circle")
    assert [p["type"] for p in parts].count("image") == (2 if kind == "pair" else 1)
    assert "a red circle" in parts[-1]["text"]
    assert "{prompt}" not in str(form.messages("a red circle"))
    assert protocol(name).form(task, kind) is form


@pytest.mark.parametrize("form", PAIRS)
def test_a_pair_may_be_won_by_either_or_by_none(form):
    assert set(form.answers.values()) == {"first", "second", "tie"}


@pytest.mark.parametrize("form", POINTS)
def test_a_point_has_an_answer_for_each_value_of_its_scale_and_says_that_scale(form):
    # Defect 4: the scale asked for was not the scale trained on.
    assert tuple(form.answers.values()) == form.scale.values
    assert f"from {form.scale.minimum} to {form.scale.maximum}" in form.asking
    assert form.scale.row() == {"name": form.scale.name, "minimum": form.scale.minimum, "maximum": form.scale.maximum}


@given(st.text(), st.sampled_from([PAIR, POINT, IN_TEN]))
@example("Final Score: " + "9" * 400, POINT)
@example("Final Score: ٣", POINT)
@example("Final Score: ²", POINT)
@example("", PAIR)
def test_no_text_breaks_the_parser_or_leaves_the_scale(text, form):
    meaning = form.parse(text)
    if form.scale is None:
        assert meaning in (None, "first", "second", "tie")
    else:
        assert meaning is None or form.scale.minimum <= meaning <= form.scale.maximum


@given(st.text(alphabet=st.characters(exclude_characters="12"), max_size=30), st.sampled_from(list(PAIR.answers)))
def test_words_around_a_verdict_do_not_change_it(words, answer):
    if PAIR.parse(words) is None:
        assert PAIR.parse(f"{words} {answer} {words}") == PAIR.answers[answer]


@given(st.permutations(list(PAIR.answers)), st.integers(2, 3), st.text(max_size=10))
def test_two_verdicts_in_one_text_are_none(answers, count, between):
    # Defect 25: a text that named both answers counted as right whichever was asked for.
    assert PAIR.parse(between.join(answers[:count])) is None


@pytest.mark.parametrize(
    "text",
    ["", "Image", "Image 1", "better", "Both", "I cannot compare them.", "Image 3 is better than Image 1.", "First."],
)
def test_garbage_is_no_verdict(text):
    # Defects 5 and 22: whatever was not "2 is better", even an empty text, was a win for candidate 1.
    assert PAIR.parse(text) is None
    assert POINT.parse(text) is None


def test_a_repeated_verdict_is_one_verdict():
    assert PAIR.parse("Image 2 is better than Image 1. So: image 2 is better than image 1") == "second"


@given(st.floats(1, 5).map(lambda v: round(v, 6)))
def test_a_decimal_keeps_its_fraction(value):
    # Defect 3: the first whole number was taken, so that 3.67 became 3.
    assert POINT.parse(f"Final Score: {value:.6f}") == value
    assert POINT.parse(f"2 shapes, 1 is blurred.\nFinal Score: {value:.6f}.") == value


@given(st.floats(-1000, 1000, allow_nan=False).map(lambda v: round(v, 2)))
def test_a_score_outside_the_scale_is_no_score_and_its_sign_is_not_lost(value):
    # Defect 29: the minus sign was dropped. Defect 2: a score that could not be read became 0.
    inside = 1 <= value <= 5
    assert POINT.parse(f"Final Score: {value:.2f}") == (value if inside else None)


def test_a_sign_is_part_of_the_number():
    # Defect 29, on a scale that goes below zero.
    assert BELOW_ZERO.parse("Final Score: -3.25") == -3.25
    assert BELOW_ZERO.parse("Final Score: -11") is None


def test_both_ends_of_a_scale_are_on_it():
    assert Scale().values == (1, 2, 3, 4, 5)
    assert TEN.values[-1] == 10


@pytest.mark.parametrize(
    ("text", "in_five", "in_ten"),
    [
        ("Final Score: 10", None, 10),
        ("Final Score: 10.", None, 10),
        ("Final Score: 1", 1, 1),
        ("Final Score: 9", None, 9),
        ("Final Score: 5", 5, 5),
        ("Final Score: 5.01", None, 5.01),
        ("Final Score: 0", None, None),
        ("Final Score: 11", None, None),
        ("Final Score: 100", None, None),
        ("Final Score: 10.5", None, None),
        ("Final Score: 0.99", None, None),
    ],
)
def test_the_edges_of_a_scale(text, in_five, in_ten):
    # The published client reads "Final Score: 10" as 1.
    assert POINT.parse(text) == in_five
    assert IN_TEN.parse(text) == in_ten


def test_scores_are_compared_as_numbers():
    # Defect 1: as text, "9" is more than "10".
    ten, nine = IN_TEN.parse("Final Score: 10"), IN_TEN.parse("Final Score: 9")
    assert isinstance(ten, float)
    assert isinstance(nine, float)
    assert ten > nine


@pytest.mark.parametrize(
    "text",
    [
        "Final Score: 3 Final Score: 4",
        "Final Score: three",
        "Final Score:",
        "Final Score: 3.4.5",
        "Final Score: -3",
        "Final Score: - 3",
        "Final Score: \u22123",
        "Final Score: nan",
        "3",
        "Score: 3",
        "Final Score: 3,67",
        "Final Score: 4/10",
        "Final Score: 4 out of 10",
        "Final Score: 1e1",
        "Final Score: 3-4",
        "Final Score: 5%",
    ],
)
def test_a_score_that_may_mean_something_else_is_no_score(text):
    assert POINT.parse(text) is None


def test_the_same_score_twice_is_that_score():
    assert POINT.parse("Final Score: 3.5\nFinal Score: 3.5") == 3.5


@pytest.mark.parametrize(
    "prompt", ["{prompt}", "{answer} {0} {}", "50% \\n", "<image>", "Image 1 is better than Image 2."]
)
def test_a_prompt_is_put_in_as_it_is(prompt):
    assert PAIR.parts(prompt)[-1]["text"].startswith(f"Caption: {prompt}\n")


def test_a_protocol_or_question_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no protocol 'other'; there are unified"):
        protocol("other")
    with pytest.raises(ValueError, match="does not ask pair questions about sound"):
        protocol("unified").form("sound", "pair")

import pytest
from helpers import SCALE, pair_preference, point_preference
from hypothesis import example, given
from hypothesis import strategies as st

from urm_ray.judge.form import Form
from urm_ray.judge.protocol import protocol
from urm_ray.judge.said import Expected
from urm_ray.judge.scale import SCALES, Scale
from urm_ray.judge.template import Asking
from urm_ray.schema import KINDS, TASKS

TEN = Scale("1-10", 1, 10)
FORMS = [("unified", task, kind, form) for (task, kind), form in protocol("unified").forms.items()]
PAIRS = [form for *_, form in FORMS if form.scale is None]
POINTS = [form for *_, form in FORMS if form.scale is not None]
PAIR = protocol("unified").form("image_generation", "pair")
POINT = protocol("unified").form("image_generation", "point")
ASKING = Asking(("{{ candidate }}{{ prompt }}",), "image", ("candidate",))
BELOW_ZERO = Form(ASKING, Expected("scores", "image", Scale("-10-10", -10, 10)))
IN_TEN = Form(ASKING, Expected("scores", "image", TEN), TEN.answers)


@pytest.mark.parametrize(("name", "task", "kind", "form"), FORMS)
def test_every_answer_means_what_its_form_says(name, task, kind, form):
    for answer, meaning in form.answers.items():
        assert form.parse(answer) == meaning
        assert form.answer_for(meaning) == answer
        assert form.parse(f"  {answer}\n") == meaning
    with pytest.raises(ValueError, match="no answer of this form means 'third'"):
        form.answer_for("third")


@pytest.mark.parametrize(("name", "task", "kind", "form"), FORMS)
def test_every_form_has_a_place_for_each_candidate_and_says_the_prompt_once(name, task, kind, form):
    count = 2 if kind == "pair" else 1
    texts = ["first answer", "second answer"][:count] if task.endswith("understanding") else []
    parts = form.parts("a red circle", texts=texts)
    slots = [p["type"] for p in parts if p["type"] != "text"]
    assert slots == ([] if texts else [task.removesuffix("_generation")] * count)
    words = "".join(p["text"] for p in parts if p["type"] == "text")
    assert [words.count(text) for text in ["a red circle", *texts]] == [1] * (1 + len(texts))
    assert "{" not in words
    assert protocol(name).form(task, kind) is form


def test_every_task_has_a_form_of_each_kind():
    assert {(task, kind) for _, task, kind, _ in FORMS} == {(task, kind) for task in TASKS for kind in KINDS}


def test_the_words_a_trained_judge_of_pictures_knows():
    assert PAIR.parts("P") == [
        {"type": "text", "text": "Image 1:"},
        {"type": "image"},
        {"type": "text", "text": "Image 2:"},
        {"type": "image"},
        {"type": "text", "text": "Caption: P\nWhich image follows the caption better and has the better quality?"},
    ]
    assert list(PAIR.answers) == [
        "Image 1 is better than Image 2.",
        "Image 2 is better than Image 1.",
        "Both images are equally good.",
    ]
    asking = "Caption: P\nHow well does the image follow the caption, and how good is its quality, from 1 to 5?"
    assert POINT.parts("P") == [*PAIR.parts("P")[:2], {"type": "text", "text": asking}]
    assert list(POINT.answers) == [f"Final Score: {n}" for n in (1, 2, 3, 4, 5)]


def test_what_the_prompt_is_about_comes_first_then_the_question_then_the_answers():
    form = protocol("unified").form("video_understanding", "pair")
    parts = form.parts("Why?", ["video", "image"], ["Because.", "{prompt} is why"])
    assert [p["type"] for p in parts] == ["video", "image", "text", "text", "text", "text"]
    words = [p["text"] for p in parts if p["type"] == "text"]
    assert words[:3] == ["Question: Why?\n", "Answer 1: Because.\n", "Answer 2: {prompt} is why\n"]


def test_pictures_go_in_front_of_candidates_that_are_pictures_too():
    parts = PAIR.parts("P", ["image"])
    assert parts == [{"type": "image"}, *PAIR.parts("P")]


@pytest.mark.parametrize(
    ("task", "texts"), [("image_understanding", ["one"]), ("image_understanding", []), ("image_generation", ["1", "2"])]
)
def test_texts_that_are_too_few_or_out_of_place_are_refused(task, texts):
    with pytest.raises(ValueError, match=r"shorter|no texts"):
        protocol("unified").form(task, "pair").parts("P", texts=texts)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dimension", [None, "temporal consistency"])
def test_a_point_is_asked_on_any_scale_and_in_any_dimension(task, scale, dimension):
    form = protocol("unified").form(task, "point", scale, dimension)
    assert form.scale is SCALES[scale]
    assert form.slot == protocol("unified").form(task, "pair").slot
    assert form.scale.asked in form.asking
    assert ("temporal consistency" in form.asking) is (dimension is not None)
    assert tuple(form.answers.values()) == form.scale.values
    assert [form.parse(answer) for answer in form.answers] == list(form.scale.values)
    assert "{" not in "".join(form.words).replace("{prompt}", "")


@pytest.mark.parametrize("task", TASKS)
def test_without_a_scale_or_with_its_own_the_task_is_asked_in_its_own_way(task):
    unified = protocol("unified")
    own = unified.form(task, "point")
    assert unified.form(task, "point", unified.scale(task).name, "overall") == own
    assert unified.form(task, "point", None, "overall") is own


def test_a_row_is_asked_on_its_own_scale_if_there_is_a_form_for_it():
    unified = protocol("unified")
    assert unified.form_of(point_preference()) == POINT
    assert unified.form_of(point_preference(scale=SCALE | {"name": "0-100"})).scale is SCALES["0-100"]
    assert unified.form_of(point_preference(scale=SCALE | {"name": "1-7"})) is POINT
    assert unified.form_of(point_preference(dimension="style")).asking.count("style") == 1
    assert unified.form_of(pair_preference(dimension="style")) is PAIR


def test_a_task_can_be_asked_on_another_scale_by_default():
    unified, changed = protocol("unified"), protocol("unified").on({"video_generation": "1-4"})
    assert changed.form("video_generation", "point").scale is SCALES["1-4"]
    assert changed.form("video_generation", "point") == unified.form("video_generation", "point", "1-4")
    for task in set(TASKS) - {"video_generation"}:
        assert changed.form(task, "point") == unified.form(task, "point")
    assert unified.form("video_generation", "point").scale is SCALES["1-10"]
    with pytest.raises(ValueError, match="no scale '1-7'"):
        unified.on({"video_generation": "1-7"})


def test_a_scale_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no scale '1-7'; there are 1-5, 1-4, 1-10, 0-100, bad-normal-good"):
        protocol("unified").form("image_generation", "point", "1-7")


@pytest.mark.parametrize("ends", [(0, 95, 10), (5, 100, 10), (1, 1, 1), (3, 1, 1)])
def test_a_scale_ends_on_its_steps(ends):
    with pytest.raises(ValueError, match="different multiples of its step"):
        Scale("bad", *ends)


def test_a_scale_of_words_has_a_word_for_each_value():
    with pytest.raises(ValueError, match="a word for each of its 3 values"):
        Scale("bad", 1, 3, words=("Bad", "Good"))


HUNDRED = protocol("unified").form("image_understanding", "point")
WORDS = protocol("unified").form("video_generation", "point", "bad-normal-good", "fidelity")


def test_a_scale_in_steps_takes_what_lies_between_them():
    assert HUNDRED.scale.values == (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    assert "from 0 to 100 in steps of 10" in HUNDRED.asking
    assert HUNDRED.parse("Final Score: 85") == 85
    assert HUNDRED.parse("Final Score: 100.5") is None


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("Good.", 3),
        ("good", 3),
        (" Normal. The hand has six fingers.", 2),
        ("Bad: it flickers, nothing is good.", 1),
        ("Not good.", None),
        ("Goodness.", None),
        ("Good or bad.", None),
        ("It is good.", None),
        ("3", None),
        ("", None),
    ],
)
def test_a_grade_in_words_stands_first_and_what_is_no_grade_is_none(text, meaning):
    # Defect 32: a grade that could not be read counted as good.
    assert WORDS.parse(text) == meaning


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


# Neither numbers nor vowels: "or", "not" and "if" before a verdict do change it.
_OTHER_WORDS = st.text(st.characters(exclude_characters="12aeiouyAEIOUY\u0130\u0131"), max_size=30)


@given(_OTHER_WORDS, st.sampled_from(list(PAIR.answers)))
def test_words_around_a_verdict_do_not_change_it(words, answer):
    if PAIR.parse(words) is None:
        assert PAIR.parse(f"{words} {answer} {words}") == PAIR.answers[answer]


@given(
    st.permutations(list(PAIR.answers)),
    st.integers(2, 3),
    # No letters: "not", "if" or "or" between the two is another text.
    st.text(st.characters(exclude_categories=["L", "Cs"]), max_size=10),
)
@example(list(PAIR.answers), 2, "0")
@example(list(PAIR.answers), 2, ".5")
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

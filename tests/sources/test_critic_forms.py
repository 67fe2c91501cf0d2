from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources.native_answers import (
    LETTERED,
    NAMED,
    NUMBERED,
    alone_question,
    arena_question,
    bench_question,
    bracket_question,
    caption_question,
)

from urm_ray.sources.critic_forms import DESCRIBE, asked, judged
from urm_ray.sources.fields import FieldError

FORMS = ("bracket", "arena", "bench", "score")
WORDS = st.text("abc xyz.,;:!?\n-()", max_size=60)
TEXT = st.text(max_size=80)
MARKS = (*NUMBERED, *LETTERED, *NAMED, "Question", "Assistant", "LMM", "Caption", "From 0", "User Prompt")
ANSWER = TEXT.map(str.strip).filter(lambda text: text and not any(mark in text for mark in MARKS))
PIECES = st.lists(
    st.sampled_from(
        [
            "The better response: ",
            "[1]",
            "[2].",
            "[first]",
            "[[A>B]]",
            "[[B>>A]]",
            "[[A=B]]",
            "equally good",
            "Both are equally good.",
            "not ",
            "Final Score: ",
            "85",
            "8 7\n",
            "/10",
            "-",
            "nan",
            "Score: [",
            "]",
            "\n",
            "Response 1 is better than Response 2.",
            "**",
            "٨٥",
        ]
    ),
    max_size=8,
).map("".join)


def why(form: str, answer: str) -> str:
    with pytest.raises(FieldError) as error:
        judged(form, answer)
    return error.value.reason


@pytest.mark.parametrize(
    ("form", "answer", "label", "rationale"),
    [
        ("bracket", "The better response: [1]. Because it sees the dog.", "first", "Because it sees the dog."),
        ("bracket", "Long reasons.\n\n**The better response: [Second]**", "second", "Long reasons."),
        ("bracket", "The better response: [B] and again: The better response: [2]", "second", "and again:"),
        ("bracket", "Both are equally good at it. The better response: [A].", "first", "Both are equally good at it."),
        ("bracket", "The better response: [equally good]. Both see it.", "tie", "Both see it."),
        ("bracket", "Each sees the dog. In sum, both responses are equally good.", "tie", "Each sees the dog."),
        ("arena", "My final verdict is: Assistant B is better: [[B>A]]", "second", None),
        ("arena", "A is right. It is much better [[A>>B]].\nIndeed [[A>B]]", "first", "A is right."),
        ("arena", "[[A=B]]", "tie", None),
        ("bench", "8 7\nThe first.", "first", "The first."),
        ("bench", " 6, 9 \nThe second.", "second", "The second."),
        ("bench", "8.5 8.5", "tie", None),
    ],
)
def test_a_verdict_is_read_and_what_is_around_it_kept(form, answer, label, rationale):
    found = judged(form, answer)
    assert (found.label, found.score, found.rationale) == (label, None, rationale)


@pytest.mark.parametrize(
    ("answer", "score", "rationale"),
    [
        ("It is right.\nFinal Score: 85", 85, "It is right."),
        ("Final Score: **92.5**\nWell.", 92.5, "Well."),
        ("**Final Score: 40/100**", 40, None),
        ("Good. final score: [70].", 70, "Good."),
        ("Score: [70] out of 100. Good.", 70, "Good."),
        ("Final Score: 7\nFinal Score: 7.0", 7, None),
        ("Final Score: 300", 300, None),
    ],
)
def test_a_score_is_read_and_its_scale_left_to_the_check(answer, score, rationale):
    found = judged("score", answer)
    assert (found.label, found.score, found.rationale) == (None, score, rationale)


@pytest.mark.parametrize(
    ("form", "answer", "reason"),
    [
        ("bracket", "The better response: [1] or The better response: [2]", "verdicts disagree"),
        ("bracket", "The better response: [neither]", "unknown verdict"),
        ("bracket", "The better response: 1", "no verdict"),
        ("bracket", "Answer 1 is better than Answer 2.", "no verdict"),
        ("bracket", "They are equally good. But the first is shorter. I take it.", "no verdict"),
        ("bracket", "The responses are not equally good.", "no verdict"),
        ("bracket", "Response 1 is better.\nIn tone, both responses are equally good.", "no verdict"),
        ("bracket", "Both responses are equally good in detail. Response 1 is more accurate.", "no verdict"),
        ("bracket", "Both responses are equally good in tone.\nThe first is more accurate and wins.", "no verdict"),
        ("bracket", "Both responses are equally good. Still, I prefer the first.", "no verdict"),
        ("score", "Final Score: 85-90", "unknown verdict"),
        ("score", "Final Score: 85 - 90", "unknown verdict"),
        ("score", "Final Score: 85 or 90", "unknown verdict"),
        ("score", "Final Score: 85 to 90. It is good.", "unknown verdict"),
        ("bracket", "Both would be equally good if the first were right.", "no verdict"),
        ("arena", "[[A>B]] and [[A<B]]... no, [[B>A]]", "verdicts disagree"),
        ("arena", "[[C]]", "no verdict"),
        ("arena", "A>B", "no verdict"),
        ("bench", "8 7 9\nThree.", "no verdict"),
        ("bench", "8/10 7/10\nOf ten.", "no verdict"),
        ("bench", "0 7\nToo low.", "unknown verdict"),
        ("bench", "The first: 8 7", "no verdict"),
        ("score", "85", "no verdict"),
        ("score", "Accuracy Score: 85", "no verdict"),
        ("score", "Final Score: 8/10", "unknown verdict"),
        ("score", "Final Score: 8 out of 10", "unknown verdict"),
        ("score", "Final Score: 8.5.1", "unknown verdict"),
        ("score", "Final Score: 8,5", "unknown verdict"),
        ("score", "Final Score: -8", "unknown verdict"),
        ("score", "Final Score: 1e1", "unknown verdict"),
        ("score", "Final Score: 85%", "unknown verdict"),
        ("score", "Final Score: ٨٥", "unknown verdict"),
        ("score", "Final Score: 85 or Final Score: eighty", "unknown verdict"),
        ("score", "Final Score: 85\nFinal Score: 58", "verdicts disagree"),
    ],
)
def test_what_does_not_say_one_thing_is_no_verdict(form, answer, reason):
    assert why(form, answer) == reason


@pytest.mark.parametrize("form", FORMS)
@given(answer=st.one_of(PIECES, TEXT))
def test_an_answer_is_read_or_refused_and_never_both_things(form, answer):
    with suppress(FieldError):
        found = judged(form, answer)
        assert (found.label is None) != (found.score is None)
        assert (form == "score") == (found.score is not None)
        assert found.label in (None, "first", "second", "tie")
        assert found.rationale is None or found.rationale == found.rationale.strip() != ""


@given(before=WORDS, after=WORDS, name=st.sampled_from(["1", "A", "first", "2", "b", "Second"]))
def test_reasons_around_a_verdict_do_not_change_it(before, after, name):
    found = judged("bracket", f"{before} The better response: [{name}]. {after}")
    assert found.label == ("first" if name in ("1", "A", "first") else "second")
    assert "[" not in (found.rationale or "")


@given(before=WORDS, arrow=st.sampled_from(["A>>B", "A>B", "A=B", "B>A", "B>>A"]))
def test_swapping_the_letters_swaps_the_verdict(before, arrow):
    swapped = arrow if "=" in arrow else arrow.translate(str.maketrans("AB", "BA"))
    found, other = (judged("arena", f"{before} [[{letters}]]").label for letters in (arrow, swapped))
    assert {found, other} == ({"tie"} if "=" in arrow else {"first", "second"})


@given(score=st.integers(0, 1000), before=WORDS)
def test_whole_scores_are_read_as_they_are_written(score, before):
    assert judged("score", f"{before}\nFinal Score: {score / 10:g}").score == pytest.approx(score / 10)


@given(prompt=ANSWER, first=ANSWER, second=ANSWER, labels=st.sampled_from([NUMBERED, LETTERED, NAMED]))
def test_questions_are_taken_apart_into_what_was_put_in(prompt, first, second, labels):
    questions = {
        "bracket": bracket_question(prompt, first, second, labels),
        "arena": arena_question(prompt, first, second),
        "bench": bench_question(prompt, first, second),
    }
    for form, question in questions.items():
        found = asked(question)
        assert (found.form, found.prompt, found.answers) == (form, prompt, (first, second))
    assert asked(caption_question(first)).answers == (first,)
    assert asked(caption_question(first)).prompt == DESCRIBE
    assert (asked(alone_question(prompt, first)).prompt, asked(alone_question(prompt, first)).form) == (prompt, "score")


@given(st.one_of(TEXT, PIECES))
def test_any_other_question_is_refused(question):
    with pytest.raises(FieldError):
        asked(question)


@pytest.mark.parametrize(
    "question",
    [
        bracket_question("Q", "a", "b]\nResponse 2: [c", NUMBERED),
        bracket_question("Q", "a]\nResponse A: [b]\nResponse B: [c", "d", NUMBERED),
        bracket_question("Q", "a", "b", NUMBERED) + "Say which is better.",
        bracket_question("Q", "a", "b", NUMBERED).replace("[a]", "[a"),
        arena_question("Q", "a", "b <|The End of Assistant B's Answer|>"),
        bench_question("Q", "a [Assistant 1]", "b"),
        caption_question("a\nFrom 0 to 100, b"),
    ],
)
def test_a_question_that_could_be_taken_apart_in_two_ways_is_refused(question):
    with pytest.raises(FieldError, match="cannot be taken apart"):
        asked(question)


@pytest.mark.parametrize("answer", ["a", "It is out of 100 others."])
def test_scores_on_another_scale_are_of_no_known_form(answer):
    with pytest.raises(FieldError, match=r"unknown form|cannot be taken apart"):
        asked(alone_question("Q", answer, "from 0 to 5"))

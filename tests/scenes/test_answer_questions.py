import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from urm_ray.scenes.answer_questions import about_one_answer, about_two_answers
from urm_ray.scenes.answers import Answer

ANSWERS = st.builds(
    Answer, st.sampled_from(["red", "blue.", "Yes"]), st.integers(0, 5), st.integers(0, 4), st.booleans()
)
AMOUNTS = ["none", "one", "two", "three", "three", "three"]
SEEDS = st.integers(0, 10_000)


@given(ANSWERS, SEEDS)
def test_what_is_said_of_one_answer_is_true(answer, seed):
    exchange = about_one_answer("What colour is it?", answer, random.Random(seed))
    begin, asked = exchange.question.rsplit("\n", 1)
    assert begin == f"Question: What colour is it?\nAnswer: {answer.text}"
    expected = {
        "How many statements are false?": AMOUNTS[answer.false],
        "Is the answer right?": "yes" if answer.answered and not answer.false else "no",
        "How much is left out?": AMOUNTS[answer.missing],
    }
    assert exchange.answer == expected[asked]
    assert exchange.known == ({"false": answer.false, "missing": answer.missing, "unanswered": not answer.answered},)


@given(ANSWERS, ANSWERS, SEEDS)
def test_what_is_said_of_two_answers_is_true(first, second, seed):
    exchange = about_two_answers("Is it?", [first, second], random.Random(seed))
    begin, asked = exchange.question.rsplit("\n", 1)
    assert begin == f"Question: Is it?\nAnswer 1: {first.text}\nAnswer 2: {second.text}"

    def more(one: int, two: int) -> str:
        return "neither" if one == two else "the first" if one > two else "the second"

    right = [n for n, a in (("the first", first), ("the second", second)) if a.answered and not a.false]
    expected = {
        "How many statements are false in answer 1?": AMOUNTS[first.false],
        "How many statements are false in answer 2?": AMOUNTS[second.false],
        "Which answer has more false statements?": more(first.false, second.false),
        "Which answer has fewer false statements?": more(second.false, first.false),
        "Which answer leaves out more?": more(first.missing, second.missing),
        "Which answer leaves out less?": more(second.missing, first.missing),
        "Which answer is right?": {0: "neither", 2: "both"}.get(len(right)) or right[0],
    }
    assert exchange.answer == expected[asked]
    assert [known["false"] for known in exchange.known] == [first.false, second.false]


def test_every_kind_of_question_is_asked():
    rng, answer = random.Random(0), Answer("red")
    one = Counter(about_one_answer("?", answer, rng).question for _ in range(200))
    two = Counter(about_two_answers("?", [answer, answer], rng).question for _ in range(400))
    assert len(one) == 3
    assert len(two) == 7

"""Questions about answers, with their true answers: what is false in them, left out, or not answered at all."""

from __future__ import annotations

import random
from collections.abc import Sequence

from urm_ray.scenes.answers import Answer
from urm_ray.scenes.questions import Exchange, amount, more, which, yes

ONE = {"false": 4, "right": 3, "left out": 2}
"""Kinds of question about one answer with their shares."""
TWO = {"false": 4, "more false": 5, "right": 3, "left out": 2}


def about_one_answer(question: str, answer: Answer, rng: random.Random) -> Exchange:
    match rng.choices(list(ONE), list(ONE.values()))[0]:
        case "false":
            return _given(question, [answer], "How many statements are false?", amount(answer.false))
        case "right":
            return _given(question, [answer], "Is the answer right?", yes(_right(answer)))
    return _given(question, [answer], "How much is left out?", amount(answer.missing))


def about_two_answers(question: str, answers: Sequence[Answer], rng: random.Random) -> Exchange:
    number, answer = rng.choice(list(enumerate(answers, start=1)))
    match rng.choices(list(TWO), list(TWO.values()))[0]:
        case "false":
            return _given(question, answers, f"How many statements are false in answer {number}?", amount(answer.false))
        case "right":
            return _given(question, answers, "Which answer is right?", which(*map(_right, answers)))
        case "left out":
            word, sign = rng.choice((("more", 1), ("less", -1)))
            return _given(
                question, answers, f"Which answer leaves out {word}?", more(*(sign * a.missing for a in answers))
            )
    # Asked both ways: one way alone would be an inclination to the worse answer or to the better one.
    word, sign = rng.choice((("more", 1), ("fewer", -1)))
    said = f"Which answer has {word} false statements?"
    return _given(question, answers, said, more(*(sign * a.false for a in answers)))


def _right(answer: Answer) -> bool:
    return answer.false == 0 and answer.answered


def _given(question: str, answers: Sequence[Answer], asking: str, answer: str) -> Exchange:
    labels = ["Answer:"] if len(answers) == 1 else [f"Answer {n}:" for n in range(1, len(answers) + 1)]
    said = "".join(f"{label} {one.text}\n" for label, one in zip(labels, answers, strict=True))
    known = [{"false": a.false, "missing": a.missing, "unanswered": int(not a.answered)} for a in answers]
    return Exchange(f"Question: {question}\n{said}{asking}", answer, tuple(known))

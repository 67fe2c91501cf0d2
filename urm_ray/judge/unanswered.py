"""What engines give in place of an answer that could not be had. It becomes an unparsed verdict, never a winner."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from urm_ray.judge.engine import Question, Reading, Written


class EngineError(RuntimeError):
    """An engine that cannot answer at all; the message says what to do. What is done already stays done."""


class EngineGoneError(RuntimeError):
    """An engine that has died, and answers again in a new process."""


class QuestionError(EngineError):
    """A question that cannot be answered, and costs itself alone; the message says why in one sentence."""


Answer = TypeVar("Answer")


def ask_able(
    questions: Sequence[Question],
    ask: Callable[[Sequence[Question]], list[Answer]],
    check: Callable[[Question], object],
    unanswered: Callable[[Question, QuestionError], Answer],
) -> list[Answer]:
    """What `ask` answers, where one question that `check` raises at would keep all others from their answers.

    Those questions are found only once asking has failed, and the others are then asked as if there were none of them;
    an error that no question is to blame for is raised.
    """
    try:
        return ask(questions)
    except Exception:
        faults = {number: fault for number, one in enumerate(questions) if (fault := _fault(one, check))}
        if not faults:
            raise
    able = [one for number, one in enumerate(questions) if number not in faults]
    answers = iter(ask(able) if able else [])
    return [unanswered(one, faults[n]) if n in faults else next(answers) for n, one in enumerate(questions)]


def _fault(question: Question, check: Callable[[Question], object]) -> QuestionError | None:
    try:
        check(question)
    except MemoryError:
        raise
    except Exception as error:  # processors fail in any way that their checks and arithmetic can
        return QuestionError(f"the judge's processor fails: {str(error)[:200] or type(error).__name__}")
    return None


@dataclass(frozen=True)
class Unread(Reading):
    """No reading: probabilities and mass are not numbers."""

    reason: str

    @classmethod
    def of(cls, question: Question, error: QuestionError) -> Unread:
        return cls([math.nan] * len(question.answers), math.nan, str(error))


@dataclass(frozen=True)
class Unwritten(Written):
    """No answer: the text is empty."""

    text: str = ""
    ended: bool = False
    reason: str = ""

    @classmethod
    def of(cls, error: QuestionError) -> Unwritten:
        return cls(reason=str(error))

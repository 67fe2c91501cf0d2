"""The forms in which LLaVA-Critic-113k asks GPT-4o to judge answers about a picture, and in which it answers.

Its questions and verdicts stand in free text, worded differently in each part of the data set (issue 28 of
UnifiedReward; public readers of the data set). A text is read only where it is wholly of one of these forms:

bracket  question: Question: [Q], then Response 1: [..] and Response 2: [..], or Response A and B, or The first response
         and The second; verdict: The better response: [1], [A] or [first], else a first or last sentence that calls
         both equally good
arena    question: <|User Prompt|> and what Assistant A and Assistant B answered; verdict: [[A>>B]], [[A>B]], [[A=B]],
         [[B>A]] or [[B>>A]]
bench    question: [Question], [Assistant 1], [Assistant 2]; verdict: a first line "8 7", two scores from 1 to 10
score    question: Text Caption: .. From 0 to 100, .., or Question: [Q] and The LMM response: [..], to be scored out of
         100; verdict: Final Score: 85, or Score: [85] at the beginning of a line

Verdicts may be repeated in a text, and then have to agree. What cannot be taken apart in one way only is no judgement.
The judge's own parsers read answers to our questions, and of them the verdict alone; here the rest is kept as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeVar

from urm_ray.sources.draft import Label, preferred
from urm_ray.sources.fields import FieldError

T = TypeVar("T")
Form = Literal["bracket", "arena", "bench", "score"]
DESCRIBE = "Describe the image correctly and comprehensively."
"""The question about a caption, of which the data set has none; it is scored on being a "correct and comprehensive
description"."""

_MARKS: tuple[tuple[Form, tuple[str, ...]], ...] = (
    ("bracket", ("Question: [", "Response 1: [", "Response 2: [")),
    ("bracket", ("Question: [", "Response A: [", "Response B: [")),
    ("bracket", ("Question: [", "The first response: [", "The second response: [")),
    (
        "arena",
        (
            "<|User Prompt|>",
            "<|The Start of Assistant A's Answer|>",
            "<|The End of Assistant A's Answer|>",
            "<|The Start of Assistant B's Answer|>",
            "<|The End of Assistant B's Answer|>",
        ),
    ),
    ("bench", ("[Question]", "[Assistant 1]", "[End of Assistant 1]", "[Assistant 2]", "[End of Assistant 2]")),
    ("score", ("Text Caption:", "\nFrom 0 to 100,")),
    ("score", ("out of 100", "Question: [", "The LMM response: [")),
)
"""What stands in a question of each form, each mark once and in this order."""
_CLOSED = re.compile(r"(.*)\]\s*(?:ASSISTANT:\s*)?", re.DOTALL)

_BETTER = re.compile(r"\**(?:\bthe )?\bbetter response\W{0,3}:\W{0,3}\[([^\[\]\n]*)\][*.,:]*\s*", re.IGNORECASE)
_NAMES: dict[str, Label] = {
    **dict.fromkeys(("first", "1", "a"), "first"),
    **dict.fromkeys(("second", "2", "b"), "second"),
    "equally good": "tie",
}
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*\s*")
_EQUAL = re.compile(r"\b(?:both|the two|two|responses|answers)\b.*\bequally good\b", re.IGNORECASE)
# Equally good at one thing only, or followed by a choice.
_PARTLY = re.compile(
    r"\bequally good\s+(?:in|at|on|for|when|where|with|regarding)\b"
    r"|^\W*(?:in|at|on|for|regarding)\s+(?!(?:all|sum|short|conclusion|summary|general|the end|my|balance)\b)",
    re.IGNORECASE,
)
_CHOSEN = re.compile(r"\b(?:better|wins?|superior|prefer\w*|inferior|worse)\b", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|neither|nor|never|hardly|isn't|aren't|if|whether|but|although|however)\b", re.IGNORECASE)
_ARROW = re.compile(r"\[\[(A>>B|A>B|A=B|B>A|B>>A)\]\]")
_ARROW_SENTENCE = re.compile(rf"[^.!?\n]*{_ARROW.pattern}[^\n]*\n?")
_TWO_SCORES = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)(?:,[ \t]+|[ \t]+)([0-9]+(?:\.[0-9]+)?)[ \t]*(?:\n|\Z)")
_SCORE_BEGINS = r"(?:\**\bFinal Score:[ \t*]*\[?|^[ \t*]*Score:[ \t*]*\[)"
_SCORE = re.compile(
    _SCORE_BEGINS + r"([0-9]+(?:\.[0-9]+)?)\]?(?:\s*(?:/|out of)\s*100)?"
    r"(?![\w%]|[.,][0-9]|\s*/|\s*out of\b|\s*(?:[-~\u00b1\u2013\u2014]|to\b|or\b)\s*[0-9])[*.]*",
    re.IGNORECASE | re.MULTILINE,
)
_ANY_SCORE = re.compile(_SCORE_BEGINS, re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """A question taken apart: what was asked about the picture, and the answers that are judged, one or two."""

    form: Form
    prompt: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A judgement: the better answer or the score, and the text around it, which says why."""

    label: Label | None
    score: float | None
    rationale: str | None


def asked(question: str) -> Asked:
    """FieldError "unknown form of question", or "question cannot be taken apart" where that could be done in more ways
    than one."""
    found = [(form, marks) for form, marks in _MARKS if all(mark in question for mark in marks)]
    if not found:
        raise FieldError("unknown form of question", question[:80])
    form, marks = found[0]
    places = [question.find(mark) for mark in marks]
    if len(found) > 1 or places != sorted(places) or any(question.count(mark) != 1 for mark in marks):
        raise FieldError("question cannot be taken apart", f"{form} form")
    ends = [*places[1:], len(question)]
    parts = [question[place + len(mark) : end] for mark, place, end in zip(marks, places, ends, strict=True)]
    said = [_closed(part) if mark.endswith("[") else part.strip() for mark, part in zip(marks, parts, strict=True)]
    if marks[0] == "Text Caption:":
        prompt, *answers = DESCRIBE, said[0]
    elif form == "score":
        prompt, *answers = said[1:]
    elif form == "bracket":
        prompt, *answers = said
    else:
        prompt, *answers = said[0], said[1], said[3]
    if not prompt:
        raise FieldError("empty question")
    if not all(answers):
        raise FieldError("empty answer")
    return Asked(form, prompt, tuple(answers))


def _closed(part: str) -> str:
    """What stands before the bracket that closes a part; nothing but ASSISTANT: may follow it."""
    found = _CLOSED.fullmatch(part)
    if found is None:
        raise FieldError("question cannot be taken apart", "a bracket is not closed")
    return found[1].strip()


def judged(form: Form, answer: str) -> Judged:
    """FieldError "no verdict", "unknown verdict" or "verdicts disagree"."""
    read = {"bracket": _bracket, "arena": _arena, "bench": _bench, "score": _score}[form]
    return read(answer)


def _bracket(answer: str) -> Judged:
    names = [name.strip().lower() for name in _BETTER.findall(answer)]
    if unknown := [name for name in names if name not in _NAMES]:
        raise FieldError("unknown verdict", unknown[0][:80])
    if names:
        label: Label = _one({_NAMES[name] for name in names}, answer)
        return Judged(label, None, _rest(_BETTER, answer))
    sentences = list(_SENTENCE.finditer(answer))
    for sentence in [*sentences[:1], *sentences[-1:]]:
        around = answer[: sentence.start()] + answer[sentence.end() :]
        equal = _EQUAL.search(sentence[0]) and not _NOT.search(sentence[0]) and not _PARTLY.search(sentence[0])
        if equal and not _CHOSEN.search(around):
            return Judged("tie", None, _kept(around))
    raise FieldError("no verdict", answer[-80:])


def _arena(answer: str) -> Judged:
    arrows = _ARROW.findall(answer)
    labels: set[Label] = {"tie" if "=" in arrow else "first" if arrow[0] == "A" else "second" for arrow in arrows}
    label = _one(labels, answer)
    return Judged(label, None, _rest(_ARROW_SENTENCE, answer))


def _bench(answer: str) -> Judged:
    found = _TWO_SCORES.match(answer)
    if not found:
        raise FieldError("no verdict", answer[:80])
    first, second = float(found[1]), float(found[2])
    if not all(1 <= score <= 10 for score in (first, second)):
        raise FieldError("unknown verdict", f"{found[1]} and {found[2]} are not both from 1 to 10")
    return Judged(preferred(first, second), None, _kept(answer[found.end() :]))


def _score(answer: str) -> Judged:
    found = _SCORE.findall(answer)
    if len(found) != len(_ANY_SCORE.findall(answer)):
        raise FieldError("unknown verdict", answer[-80:])
    return Judged(None, _one({float(score) for score in found}, answer), _rest(_SCORE, answer))


def _one(found: set[T], answer: str) -> T:
    if len(found) > 1:
        raise FieldError("verdicts disagree", ", ".join(sorted(map(str, found))))
    if not found:
        raise FieldError("no verdict", answer[-80:])
    return found.pop()


def _rest(verdict: re.Pattern[str], answer: str) -> str | None:
    """An answer without its verdicts."""
    return _kept(verdict.sub("", answer))


def _kept(rationale: str) -> str | None:
    return rationale.strip() or None

"""What a decoded answer means, by the form that it should have. Nothing here raises, and nothing guesses.

A form of answer is read by the parser that a protocol names:

    verdict      words: "Image 1 is better than Image 2.", "The first response is better", "[[A>B]]", "[second]", a tie
    scores       labelled lines: "Final Score: 3.67", "Alignment Score (1-5): 2.69", "visual quality: 3"; "Good. Reason"
    pair_scores  for each dimension a number for either candidate, which sum to one
    two_scores   one number for either candidate, of any size and sign
    json_winner  a JSON object with the winner, and scores in dimensions
    json_scores  a JSON object with a list of scores

What stands in <think> is no part of the answer. The verdict may stand before the reasoning or behind it; a text that
holds two different ones means neither. English alone is read, and numbers as `numerals` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from urm_ray.judge.parse_json import json_scores, json_winner
from urm_ray.judge.parse_pair_scores import pair_scores, two_scores
from urm_ray.judge.parse_scores import scores
from urm_ray.judge.parse_verdict import verdict
from urm_ray.judge.said import Expected, Said

_NONE = "no answer in the form that was asked for"


@dataclass(frozen=True)
class Parser:
    """kind: what it reads, pair or point. prose: whether it reads words, which may be cut off anywhere unseen."""

    read: Callable[[str, Expected], Said | None]
    kind: str
    prose: bool = True


PARSERS = {
    "verdict": Parser(verdict, "pair"),
    "pair_scores": Parser(pair_scores, "pair"),
    "two_scores": Parser(two_scores, "pair"),
    "json_winner": Parser(json_winner, "pair", prose=False),
    "scores": Parser(scores, "point"),
    "json_scores": Parser(json_scores, "point", prose=False),
}


def read(text: str, expected: Expected, cut_at: int | None = None, shown: Iterable[str] = ()) -> Said:
    """What an answer says.

    cut_at: the number of tokens after which it was cut off, where it did not end by itself; what may be the half of a
    word or number is then left out. shown: what the judge was asked and shown; a line of it that would read as an
    answer is an echo where it stands in this text.
    """
    parser = PARSERS[expected.parser]
    spoken = _without_thoughts(text)
    if spoken is None:
        return Said("unparsed", reason=_cut(cut_at, "its reasoning does not end"))
    whole = spoken if cut_at is None or not parser.prose else _finished(spoken)
    said = _read(_without_echo(whole, expected, shown), expected)
    if said is None:
        refused = cut_at is None and _REFUSAL.search(_plain(spoken))
        return Said("refused", reason="the judge declines") if refused else Said("unparsed", reason=_cut(cut_at, _NONE))
    return replace(said, reason=_cut(cut_at, str(said.reason))) if said.outcome == "unparsed" else said


def _read(text: str, expected: Expected) -> Said | None:
    parser = PARSERS[expected.parser]
    return parser.read(_plain(text) if parser.prose else text, expected)


def _cut(cut_at: int | None, reason: str) -> str:
    return reason if cut_at is None else f"no end within {cut_at} tokens: {reason}"


def _without_thoughts(text: str) -> str | None:
    """The text outside of <think>, None where a thought does not end. Some chat templates open the thought themselves,
    so that the answer only closes it."""
    outside = re.sub(r"<think>.*?</think>", "\n", text, flags=re.DOTALL | re.IGNORECASE)
    outside = re.split("</think>", outside, flags=re.IGNORECASE)[-1]
    if re.search("<think>", outside, re.IGNORECASE):
        return None
    return re.sub("</?answer>", "\n", outside, flags=re.IGNORECASE)


def _finished(text: str) -> str:
    """The sentences and lines of a cut text that are whole."""
    ends = [match.end() for match in re.finditer(r"""[.!?]["')\]]*\s|\n""", text)]
    return text[: ends[-1]] if ends else ""


def _plain(text: str) -> str:
    """The text without Markdown's marks of emphasis and empty lines, with single spaces and plain apostrophes.

    A mark between two letters or digits is of another kind, and stays.
    """

    def bare(match: re.Match[str]) -> str:
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        return match[0] if before.isalnum() and after.isalnum() else ""

    unmarked = re.sub(r"[*_`]+", bare, text).replace("\u2019", "'")
    return "\n".join(" ".join(line.split()) for line in unmarked.splitlines() if line.strip())


def _without_echo(text: str, expected: Expected, shown: Iterable[str]) -> str:
    """The text without those lines of what was shown that the parser would take for an answer."""
    lines = {line.strip() for part in shown for line in part.splitlines()}
    for line in sorted(lines, key=lambda line: (-len(line), line)):
        if line and line in text and _read(line, expected) is not None:
            text = text.replace(line, "\n")
    return text


_DO = (
    r"(?:compare|evaluate|judge|assess|rate|score|rank|choose|decide|determine|answer|help|assist|comply|provide|give|"
    r"view|access|process|continue|fulfil+|engage|do that|make (?:a|this|that|such))\b"
)
_REFUSAL = re.compile(
    rf"\bI(?:'m| am) (?:very |so |really )?sorry\b|\bI must decline\b|\bI(?:'m| am) (?:not able|unable) to\b|"
    rf"\bI (?:cannot|can't|can not|could not|couldn't|will not|won't) (?:\w+ )?{_DO}",
    re.IGNORECASE,
)

"""Numbers as a judge writes them: read exactly, or not at all.

A number has the digits 0 to 9, a full stop before decimals, and perhaps a sign. Whatever else looks like one (a comma
decimal, an exponent, a fraction, a range, digits of another script) is a problem and never half a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NUMBER = r"[+\-\u2212]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_NUMBER = re.compile(NUMBER)
_OF = re.compile(rf"\s*\(?\s*(?:/|out\s+of\b)\s*({NUMBER})?", re.IGNORECASE)
_SPACE = re.compile(r"\s*")
_CLOSED = re.compile(r"""[.,;:!)\]}"'|]*(?=\s|<|\Z)""")
_REST = re.compile(r"[^\n<]*?(?=[.!?;](?:\s|\Z)|[\n<]|\Z)")
_REASON = re.compile(r"\s*(?:because|since|as|due|based|given)\b", re.IGNORECASE)
_CORRECTED = re.compile(
    r"\W*(?:[0-9]+\W*$|out\s+of\b|scale\b|(?:no\b\W*)?(?:wait|actually|sorry|rather|correction)\b|no\s*[,.:!]|on\s+a\s+scale\b)",
    re.IGNORECASE,
)
_ASIDE = "(,[|-\u2013\u2014"
_WORD = "(?:one|two|three|four|five|six|seven|eight|nine|ten|hundred)"
# What gives a number another meaning: at the beginning of what follows, and anywhere in it.
_CHANGED = re.compile(
    r"\W*(?:minus|plus|rather|actually|wait|instead|or|half|points?|out\s+of|of|scale)\b"
    rf"|.*\b(?:out\s+of\s+{_WORD}|{_WORD}[\s-]points?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Found:
    """A number, or why what stands in its place is none; neither where nothing looks like one."""

    value: float | None = None
    problem: str | None = None


def number_at(text: str, place: int, top: float | None = None, bare: bool = False) -> Found:
    """The number that stands at a place of a text, behind white space.

    top: the end of the scale; a number may be given as one out of it ("4/5"), and of nothing else. A reason or an aside
    without numbers may follow in its sentence; none where it has to be `bare`, or stands on a line of its own.
    """
    start = place + len(_SPACE.match(text, place)[0])  # type: ignore[index]
    found = _NUMBER.match(text, start)
    if found is None:
        odd = text[start : start + 1].isnumeric()
        return Found(problem=f"{text[start : start + 12]!r} is not written in the digits 0 to 9" if odd else None)
    end, said = found.end(), found[0]
    if outer := _OF.match(text, end):
        if top is None or outer[1] is None or as_float(outer[1]) != top:
            return Found(problem=f"{said} is given out of something else than the scale's end")
        end = outer.end()
    closed = _CLOSED.match(text, end)
    if closed is None:
        return Found(problem=f"{text[start : found.end() + 8].split()[0]!r} is not a plain number")
    bare = bare or "\n" in text[place:start]
    rest = text[closed.end() :].partition("\n")[0] if bare else _rest(text, closed)
    if not _may_follow(rest, "," in closed[0], bare):
        return Found(problem=f"{said} is followed by what may be part of it: {rest.strip()[:40]!r}")
    return Found(as_float(said))


def _rest(text: str, closed: re.Match[str]) -> str:
    """What follows in the sentence; behind its end, what takes the number back or says of which scale it is."""
    rest = _REST.match(text, closed.end())
    if rest is None or not re.search(r"[.;!]", closed[0]):
        return "" if rest is None else rest[0]
    behind = text[closed.end() :].partition("\n")[0].strip()
    return behind if _CORRECTED.match(behind) else ""


def _may_follow(rest: str, comma: bool, bare: bool) -> bool:
    words = rest.strip()
    if not words or words.startswith("<"):
        return True
    if bare or "%" in words or _CHANGED.match(words) or any(character.isnumeric() for character in words):
        return False
    return comma or words[0] in _ASIDE or bool(_REASON.match(words))


def as_float(said: str) -> float:
    """The value of a text that `NUMBER` matches; more digits than a float can hold give infinity."""
    return float(said.replace("\u2212", "-"))

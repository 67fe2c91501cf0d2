"""Numbers for either candidate of a pair."""

from __future__ import annotations

import itertools
import math
import re
from functools import cache
from typing import Any

from urm_ray.judge.numerals import NUMBER, Found, as_float, number_at
from urm_ray.judge.said import Expected, Said, unparsed

_ROUNDING = 0.01
"""How far two shares may be from one: judges write many digits, or few."""
_EQUAL = 1e-9
_NOUNS = {"image": "image", "video": "video", "text": "(?:answer|response)"}


@cache
def _header(name: str) -> re.Pattern[str]:
    words = r"[ \t]+".join(map(re.escape, name.split()))
    score = "" if name.lower().endswith("score") else r"(?:[ \t]+scores?)?"
    return re.compile(rf"^[ \t>#|\-\u2022]*(?:[0-9][.)][ \t]*)?{words}{score}[ \t]*:", re.IGNORECASE | re.MULTILINE)


@cache
def _candidate(slot: str) -> re.Pattern[str]:
    noun, kind = _NOUNS[slot], r"(?:edited\s+|generated\s+)?"
    return re.compile(
        rf"(?<![\w-])(?:score\s+(?:of\s+{kind}{noun}\s+)?|{kind}{noun}\s+)([12])(?:'s)?(?:\s+score)?[ \t]*[:=]",
        re.IGNORECASE,
    )


_JOINED = re.compile(r"(?:[\s,;|&-]|\band\b)*\Z", re.IGNORECASE)


def _shares(text: str, slot: str) -> tuple[Found, Found]:
    """For either candidate the one number behind its name, with nothing else up to the end of the line."""
    places = list(_candidate(slot).finditer(text))
    found: dict[str, list[Found]] = {"1": [], "2": []}
    for match, following in itertools.zip_longest(places, places[1:]):
        part = text[match.end() : following.start() if following else len(text)]
        found[match[1]].append(number_at(_JOINED.sub("", part), 0, bare=True))
    return _one(found["1"]), _one(found["2"])


def _one(found: list[Found]) -> Found:
    if problem := next((one.problem for one in found if one.problem), None):
        return Found(problem=problem)
    values = {one.value for one in found if one.value is not None}
    return Found(problem="a candidate has different scores") if len(values) > 1 else Found(next(iter(values), None))


def pair_scores(text: str, expected: Expected) -> Said | None:
    """The candidate with the higher mean over all dimensions, or in the wanted one; None where no dimension is scored.

    In every dimension the numbers are shares from 0 to 1 that together are one.
    """
    places = {name: [match.span() for match in _header(name).finditer(text)] for name in expected.dimensions}
    starts = sorted(start for spans in places.values() for start, _ in spans)
    dimensions: list[dict[str, Any]] = []
    problems: dict[str, str] = {}
    for name, spans in places.items():
        blocks = [text[end : min((s for s in starts if s >= end), default=len(text))] for _, end in spans]
        shares = _shares("\n".join(blocks), expected.slot)
        first, second = (share.value for share in shares)
        if first is None or second is None:
            problems[name] = next((share.problem for share in shares if share.problem), "it is not scored")
        elif not (0 <= first <= 1 and 0 <= second <= 1 and abs(first + second - 1) <= _ROUNDING):
            problems[name] = f"{first:g} and {second:g} are no shares of one"
        known = name not in problems
        dimensions.append({"name": name, "first": first if known else None, "second": second if known else None})
    if not starts:
        return None
    wanted = [one for one in dimensions if expected.wanted in (None, one["name"])]
    if bad := next((one["name"] for one in wanted if one["name"] in problems), None):
        return unparsed(f"{bad}: {problems[bad]}", tuple(dimensions))
    return Said(_better([one["first"] - one["second"] for one in wanted]), None, tuple(dimensions))


_BETWEEN = r"(?P<between>\s*[,;]\s*|\s+and\s+|\s+)"
_BOTH = re.compile(rf"\s*(?P<open>[\[(])?\s*({NUMBER}){_BETWEEN}({NUMBER})\s*[\])]?\s*\.?\s*")


def two_scores(text: str, expected: Expected) -> Said | None:
    """The candidate with the higher of two numbers, of any sign, which stand behind the names of the candidates or are
    the whole answer. None where there are none."""
    shares = _shares(text, expected.slot)
    values = [share.value for share in shares]
    if all(share == Found() for share in shares):
        both = _BOTH.fullmatch(text)
        if both is None:
            return None
        tight = both["between"] == "," and not (both["open"] and "." in both[2] and "." in both[4])
        if tight:
            return unparsed(f"{text.strip()[:40]!r} may be one number with a comma")
        values = [as_float(both[2]), as_float(both[4])]
    if problem := next((share.problem for share in shares if share.problem), None):
        return unparsed(problem)
    first, second = values
    if first is None or second is None or not (math.isfinite(first) and math.isfinite(second)):
        return unparsed("only one of the candidates has a score")
    listed = ({"name": "overall", "first": first, "second": second},)
    return Said(_better([first - second]), None, listed)


def _better(leads: list[float]) -> Any:
    lead = sum(leads) / len(leads)
    return "tie" if abs(lead) <= _EQUAL else "first" if lead > 0 else "second"

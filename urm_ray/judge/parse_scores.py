"""Scores of a point in labelled lines or in words, and what is listed beside them."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from urm_ray.judge.numerals import Found, as_float, number_at
from urm_ray.judge.said import Expected, Said, unparsed
from urm_ray.judge.scale import Scale

_LINE = r"^[ \t>#|]*(?:[-\u2022\u00b7+][ \t]+|\(?[0-9]{1,2}[.)][ \t]*)*"
_RANGE = r"(?:[ \t]*\([ \t]*(?P<low>[0-9]+)[ \t]*(?:-|\u2013|to)[ \t]*(?P<high>[0-9]+)[ \t]*\))?"


_SCALE = re.compile(r"\bscale\b[^0-9\n]{0,20}([0-9]+)\s*(?:-|\u2013|to)\s*([0-9]+)", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:not|never|if|unless)\b[^.!?,;:\n]*\Z", re.IGNORECASE)


@cache
def _label(name: str, anywhere: bool) -> re.Pattern[str]:
    """A label with the range of its scale, if it says that, and a colon. At the start of a line unless `anywhere`."""
    words = r"[ \t]+".join(map(re.escape, name.split()))
    score = "" if name.lower().endswith("score") else r"(?:[ \t]+score)?"
    start = r"(?<![\w-])" if anywhere else _LINE
    return re.compile(rf"{start}{words}{score}{_RANGE}[ \t]*[:\uff1a]", re.IGNORECASE | re.MULTILINE)


def labelled(text: str, name: str, scale: Scale, anywhere: bool = False) -> Found:
    """The one number of the scale that stands behind a label, however often it does."""
    found = []
    for match in _label(name, anywhere).finditer(text):
        number = number_at(text, match.end(), scale.maximum)
        if number.value is not None:
            low, high = match["low"], match["high"]
            if low is None and (stated := _stated(text[: match.start()])):
                low, high = stated
            number = _on(scale, number.value, low, high)
        if anywhere and _DENIED.search(text[: match.start()]):
            number = Found(problem="it is denied or supposed")
        if number != Found():
            found.append(number)
    if problem := next((number.problem for number in found if number.problem), None):
        return Found(problem=f"{name}: {problem}")
    values = sorted({number.value for number in found if number.value is not None})
    if len(values) > 1:
        return Found(problem=f"{name}: it is given as {' and '.join(f'{value:g}' for value in values)}")
    return Found(values[0]) if values else Found()


def _stated(before: str) -> tuple[str, str] | None:
    """The range of a scale that is named on the line of a label, or on the one before it."""
    found = list(_SCALE.finditer("\n".join(before.rsplit("\n", 2)[-2:])))
    return (found[-1][1], found[-1][2]) if found else None


def _on(scale: Scale, value: float, low: str | None, high: str | None) -> Found:
    if low is not None and (as_float(low), as_float(str(high))) != (scale.minimum, scale.maximum):
        return Found(problem=f"it is on a scale from {low} to {high}")
    if not scale.minimum <= value <= scale.maximum:
        return Found(problem=f"{value:g} is not on the scale {scale.name}")
    return Found(value)


def scores(text: str, expected: Expected) -> Said | None:
    """The overall score, or the one of the dimension that is wanted, with all dimensions; None where there is none.

    Where the overall score is the mean of the dimensions, all of them have to be there.
    """
    scale = expected.scale
    if scale is None:
        return None
    if scale.words:
        return _grade(text, scale, expected.dimensions)
    own = {name: labelled(text, name, expected.dimension_scale or scale) for name in expected.dimensions}
    listed = [{"name": name, "score": number.value} for name, number in own.items()] + _marks(text, expected)
    dimensions = tuple(listed) or None
    if expected.wanted is not None:
        wanted = {expected.wanted: own[expected.wanted]}
    elif expected.final is not None:
        wanted = {expected.final: labelled(text, expected.final, scale, anywhere=True)}
    else:
        wanted = own
    values = [number.value for number in wanted.values() if number.value is not None]
    if len(values) == len(wanted) > 0:
        return Said("score", sum(values) / len(values), dimensions)
    problem = next((number.problem for number in wanted.values() if number.problem), None)
    if problem is None and all(number == Found() for number in [*wanted.values(), *own.values()]):
        return None
    missing = ", ".join(name for name, number in wanted.items() if number == Found())
    return unparsed(problem or f"it gives no {missing}", dimensions)


def _grade(text: str, scale: Scale, dimensions: tuple[str, ...]) -> Said | None:
    """A word of the scale, which must stand first, as a reason may follow it; another one may not follow alone."""
    values = {word.lower(): value for word, value in zip(scale.words, scale.values, strict=True)}
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    first = re.match(r"\w+(?=[.,:;!]|$)", lines[0]) if lines else None
    value = values.get(first[0].lower()) if first else None
    if first is None or value is None:
        return None
    parts = [part.strip().lower() for line in lines for part in re.split(r"[.!,;:]", line)]
    rest = [re.sub(r"^(?:(?:but|actually|rather|or|no|instead)\s+)+", "", part) for part in parts]
    if any(values[part] != value for part in rest if part in values):
        return unparsed("it gives different grades")
    listed = tuple({"name": name, "score": float(value)} for name in dimensions)
    return Said("score", float(value), listed or None)


_ELEMENT = re.compile(
    r"^[ \t]*(?:[-*\u2022][ \t]+)?(?P<name>\S[^\n]*?\([^()\n]+\))[ \t]*:[ \t]*(?P<mark>[0-9.]+)[ \t]*[.,;]?[ \t]*$",
    re.MULTILINE,
)
_WORDS = re.compile(r"Word-?wise Scores?[ \t]*:\s*", re.IGNORECASE)


def _marks(text: str, expected: Expected) -> list[dict[str, Any]]:
    """Elements of the prompt, 1 where they are seen, or its words, each with how badly it is shown."""
    if expected.marks == "elements":
        labels = [*expected.dimensions, *filter(None, [expected.final])]
        return [
            {"name": match["name"], "score": {"0": 0.0, "1": 1.0}.get(match["mark"].rstrip("."))}
            for match in _ELEMENT.finditer(text)
            if not any(_label(name, True).search(match[0]) for name in labels)
        ]
    if expected.marks == "words" and (match := _WORDS.search(text)):
        return _words(text, match.end())
    return []


def _words(text: str, place: int) -> list[dict[str, Any]]:
    unread: list[dict[str, Any]] = [{"name": "words", "score": None}]
    try:
        pairs, _ = json.JSONDecoder().raw_decode(text, place)
    except (ValueError, RecursionError):
        return unread
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and is_number(pair[1]) for pair in pairs
    ):
        return unread
    return [{"name": f"word: {word}", "score": float(score)} for word, score in pairs]


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that a float can hold."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300

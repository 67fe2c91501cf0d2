"""Answers in JSON, fenced or bare."""

from __future__ import annotations

import json
import re
from typing import Any

from urm_ray.judge.parse_scores import is_number
from urm_ray.judge.said import Expected, Said, unparsed

_START = re.compile(r'\{(?=\s*")')
_STRING_OR_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_LAST_TOKEN = re.compile(r"[\\\w.+-]*\s*")
_MOST = 10
"""The points that a pair shares in each dimension of Flex."""


class _RepeatedKeyError(ValueError):
    """A key that stands twice in one object: Python would take the second."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedKeyError("a key stands twice in the JSON")
    return found


def _no_number(said: str) -> Any:
    raise ValueError(f"{said} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number, strict=False)


def _objects(text: str) -> list[dict[str, Any]] | str:
    """The outermost JSON objects of a text, or why one of them cannot be read.

    A comma behind the last item, which the published form of Edit has itself, and line breaks in strings are no error.
    """
    found: list[dict[str, Any]] = []
    while start := _START.search(text):
        text = _STRING_OR_COMMA.sub(lambda match: match[1] or "", text[start.start() :])
        try:
            value, end = _DECODER.raw_decode(text)
        except json.JSONDecodeError as error:
            ended = error.msg.startswith("Unterminated string") or _LAST_TOKEN.fullmatch(text, error.pos)
            return "the JSON is cut off" if ended else f"it is not JSON: {error.msg.lower()}"
        except RecursionError:
            return "the JSON is too deep"
        except ValueError as error:
            return str(error) if isinstance(error, _RepeatedKeyError) else "a number of the JSON cannot be read"
        found.append(value)
        text = text[end:]
    return found


def _values(text: str, key: str) -> list[tuple[Any, dict[str, Any]]] | Said | None:
    """What the objects that have a key say there, each with its object; all the same, else unparsed."""
    objects = _objects(text)
    if isinstance(objects, str):
        return unparsed(objects)
    if not objects:
        return None
    given = [(one[key], one) for one in objects if key in one]
    if not given:
        return unparsed(f"the JSON has no {key}")
    if any(value != given[0][0] for value, _ in given):
        return unparsed(f"the JSON gives different values of {key}")
    return given


def json_winner(text: str, expected: Expected) -> Said | None:
    """The `winner`, by name, with the scores of either candidate in each dimension of each category (Flex)."""
    given = _values(text, "winner")
    if given is None or isinstance(given, Said):
        return given
    winner, verdict = given[0]
    dimensions = tuple(_dimensions(verdict.get("categories"))) or None
    name = re.fullmatch(rf"\s*{expected.slot}\s*([12])\s*", winner, re.IGNORECASE) if isinstance(winner, str) else None
    if name is None:
        return unparsed(f"the winner is {str(winner)[:40]!r}", dimensions)
    return Said("first" if name[1] == "1" else "second", None, dimensions)


def _dimensions(categories: Any) -> list[dict[str, Any]]:
    found = []
    for category in categories if isinstance(categories, list) else []:
        parts = category.get("dims") if isinstance(category, dict) else None
        for part in parts if isinstance(parts, list) else []:
            if isinstance(part, dict):
                first, second = (_within(part.get(f"score_{number}")) for number in (1, 2))
                name = f"{category.get('name')}: {part.get('name')}"
                found.append({"name": name, "first": first, "second": second})
    return found


def _within(value: Any) -> float | None:
    return float(value) if is_number(value) and 0 <= value <= _MOST else None


def json_scores(text: str, expected: Expected) -> Said | None:
    """The mean of the list `score`, which has a number for each dimension in their order (Edit), or the wanted one."""
    given = _values(text, "score")
    if given is None or isinstance(given, Said):
        return given
    values, scale = given[0][0], expected.dimension_scale or expected.scale
    names = expected.dimensions
    if scale is None or not isinstance(values, list) or len(values) != len(names) or not all(map(is_number, values)):
        return unparsed(f"score has to be a list of {len(names)} numbers")
    listed = dict(zip(names, map(float, values), strict=True))
    if outside := [value for value in listed.values() if not scale.minimum <= value <= scale.maximum]:
        return unparsed(f"{outside[0]:g} is not on the scale {scale.name}")
    dimensions = tuple({"name": name, "score": value} for name, value in listed.items())
    wanted = list(listed.values()) if expected.wanted is None else [listed[expected.wanted]]
    return Said("score", sum(wanted) / len(wanted), dimensions)

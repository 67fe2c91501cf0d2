"""How figures, times and names are written for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NONE = "—"
_MINUS = "\N{MINUS SIGN}"


def number(value: float | None, signed: bool = False, digits: int = 3) -> str:
    """A figure with a fixed number of decimals and a true minus; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if not float(text):
        text = text.lstrip("+-")
    return text.replace("-", _MINUS)


def value_of(figure: Mapping[str, Any] | None) -> float | None:
    return (figure or {}).get("value")


def interval_of(figure: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """The 95% interval of a figure, or None where it has none."""
    low, high = (figure or {}).get("ci95") or (None, None)
    return None if low is None or high is None else (low, high)


def interval(figure: Mapping[str, Any] | None, signed: bool = False) -> str:
    found = interval_of(figure)
    return f"{number(found[0], signed)} to {number(found[1], signed)}" if found else NONE


def count(value: int, noun: str | None = None) -> str:
    """12345 as 12,345, with its noun in the plural where that is due."""
    return f"{value:,}" + (f" {noun}{'' if value == 1 else 's'}" if noun else "")


def words(name: str) -> str:
    """A name from the code as words."""
    return name.replace("_", " ")


def sentence(name: str) -> str:
    text = words(name)
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if whole else NONE

"""Small charts as inline SVG. Their colours are CSS classes, so that one drawing serves light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from urm_ray.report.markup import Html, el, join
from urm_ray.report.wording import interval, interval_of, number, value_of

_INSET = 2.5  # per cent of a whisker plot's width kept free at both ends, so that a dot there is whole


def ticks(low: float, high: float, wanted: int = 5) -> tuple[list[float], int]:
    """Round values within low..high (low < high), about as many as wanted, and the decimals they need."""
    raw = (high - low) / wanted
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, digits) != round(step, digits + 1):
        digits += 1  # a step of 2.5
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)], digits


@dataclass(frozen=True)
class Series:
    """A line: its name, its CSS class and its points (x, y)."""

    name: str
    kind: str
    points: Sequence[tuple[float, float]]


_WIDTH, _HEIGHT = 520, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 26, 44


def line_chart(
    name: str, series: Sequence[Series], x_label: str, y_label: str, reference: tuple[float, str] | None = None
) -> Html:
    """Lines over a common axis from zero, with round ticks and names on both axes, and at most one dashed reference."""
    lines = [Series(s.name, s.kind, [p for p in s.points if math.isfinite(p[1])]) for s in series]
    xs = [x for s in lines for x, _ in s.points]
    ys = [y for s in lines for _, y in s.points]
    if not ys:
        return el("p", "Nothing was logged.", class_="none")
    if reference:
        ys = [*ys, reference[0]]
    left, right = min(0.0, *xs), max(xs)
    room = 0.06 * (max(ys) - min(ys)) or 0.1 * abs(ys[0]) or 1.0
    low, high = min(ys) - room, max(ys) + room

    def across(x: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * ((x - left) / (right - left) if right > left else 0.5), 1)

    def up(y: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - y) / (high - low), 1)

    floor, end = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts: list[Html] = []
    y_ticks, digits = ticks(low, high, 4)
    for y in y_ticks:
        parts.append(el("line", x1=_LEFT, x2=end, y1=up(y), y2=up(y), class_="rule"))
        parts.append(el("text", number(y, digits=digits), x=_LEFT - 8, y=up(y) + 4, text_anchor="end"))
    x_ticks, digits = ticks(left, right, 6) if right > left else ([left], 0)
    for x in x_ticks:
        parts.append(el("line", x1=across(x), x2=across(x), y1=floor, y2=floor + 5, class_="axis"))
        parts.append(el("text", number(x, digits=digits), x=across(x), y=floor + 19, text_anchor="middle"))
    parts.append(el("line", x1=_LEFT, x2=end, y1=floor, y2=floor, class_="axis"))
    parts.append(el("text", x_label, x=end, y=_HEIGHT - 6, text_anchor="end", class_="label"))
    parts.append(el("text", y_label, x=0, y=13, class_="label"))
    if reference:
        y = up(reference[0])
        above = y > (_TOP + floor) / 2
        parts.append(el("line", x1=_LEFT, x2=end, y1=y, y2=y, class_="reference"))
        at = y - 6 if above else y + 16
        parts.append(el("text", reference[1], x=end, y=at, text_anchor="end", class_="reference-label"))
    for line in lines:
        parts += _line(line, across, up)
    return el("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", class_="lines", role="img", aria_label=name)


def _line(line: Series, across: Any, up: Any) -> list[Html]:
    path = " ".join(f"{across(x)},{up(y)}" for x, y in line.points)
    found = [el("polyline", points=path, class_=f"line {line.kind}")]
    if len(line.points) <= 80:
        for x, y in line.points:
            hint = el("title", f"{line.name}, {x:g}: {y:.4g}")
            found.append(el("circle", hint, cx=across(x), cy=up(y), r=2.2, class_=f"point {line.kind}"))
    return found


def legend(series: Sequence[Series]) -> Html:
    """The names of the lines, each behind a piece of it."""
    found = []
    for line in series:
        sample = el("line", x1=1, x2=23, y1=5, y2=5, class_=f"line {line.kind}")
        found.append(el("span", el("svg", sample, width=24, height=10, aria_hidden="true"), line.name))
    return el("span", *found, class_="legend")


@dataclass(frozen=True)
class Mark:
    """A figure in a whisker plot: its name, its CSS class and {"value", "ci95", "n"}."""

    name: str
    kind: str
    figure: Mapping[str, Any] | None


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


def domain_of(figures: Sequence[Mapping[str, Any] | None]) -> tuple[float, float]:
    """0..1 if all figures lie within, else round bounds around them and their intervals."""
    values = [v for f in figures for v in (value_of(f), *(interval_of(f) or ())) if v is not None]
    if not values or (min(values) >= 0 and max(values) <= 1):
        return 0.0, 1.0
    low, high = min(values), max(values)
    if low == high:
        low, high = low - abs(low) / 10, high + abs(high) / 10
    found, _ = ticks(low, high, 3)
    step = found[1] - found[0] if len(found) > 1 else high - low
    return _rounded(math.floor(low / step) * step), _rounded(math.ceil(high / step) * step)


def gain_domain(figures: Sequence[Mapping[str, Any] | None]) -> tuple[float, float]:
    """A range with zero in its middle that holds the figures and their intervals."""
    values = [abs(v) for f in figures for v in (value_of(f), *(interval_of(f) or ())) if v is not None]
    limit = max(values, default=0.0) * 1.05 or 1.0
    power = 10 ** math.floor(math.log10(limit))
    limit = next(_rounded(m * power) for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= limit * 0.999)
    return -limit, limit


def whiskers(marks: Sequence[Mark], domain: tuple[float, float], reference: float | None = None, row: int = 14) -> Html:
    """Each figure as a dot on its interval, below each other on one scale whose ends are written under it."""
    low, high = domain
    height = 6 + row * len(marks)
    signed = low < 0

    def across(value: float) -> str:
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return f"{_INSET + share * (100 - 2 * _INSET):.2f}%"

    parts = [el("line", x1=across(low), x2=across(high), y1=height, y2=height, class_="axis")]
    for value, anchor, shift in ((low, "start", -4), (high, "end", 4)):
        parts.append(el("line", x1=across(value), x2=across(value), y1=height - 3, y2=height + 3, class_="axis"))
        parts.append(el("text", _short(value, signed), x=across(value), dx=shift, y=height + 14, text_anchor=anchor))
    if reference is not None:
        parts.append(el("line", x1=across(reference), x2=across(reference), y1=2, y2=height + 3, class_="reference"))
        parts.append(el("text", _short(reference, signed), x=across(reference), y=height + 14, text_anchor="middle"))
    for i, mark in enumerate(marks):
        shown, found = value_of(mark.figure), interval_of(mark.figure)
        if shown is None:
            continue
        y = 2 + row // 2 + row * i
        hint = el("title", f"{mark.name}: {number(shown, signed)}, 95% interval {interval(mark.figure, signed)}")
        dot = [el("circle", cx=across(shown), cy=y, r=4.5, class_="dot")]
        if found:
            dot.insert(0, el("line", x1=across(found[0]), x2=across(found[1]), y1=y, y2=y, class_="whisker"))
        parts.append(el("g", hint, *dot, class_=mark.kind))
    spoken = "; ".join(f"{m.name} {number(value_of(m.figure), signed)}" for m in marks)
    return el("svg", *parts, width="100%", height=height + 18, class_="whiskers", role="img", aria_label=spoken)


def _short(value: float, signed: bool) -> str:
    text = f"{round(value, 3):+g}" if signed and value else f"{round(value, 3):g}"
    return text.replace("-", "\N{MINUS SIGN}")


def bar(share: float, kind: str) -> Html:
    """A bar of this share of the full width."""
    width = f"{100 * min(1.0, max(0.0, share)):.2f}%"
    return el("svg", el("rect", width=width, height="100%", class_=kind), class_="bar", aria_hidden="true")


def stacked(parts: Sequence[tuple[float, str, str]]) -> Html:
    """Shares (value, CSS class, name) one behind the other, filling the width together."""
    total, start, found = sum(value for value, _, _ in parts), 0.0, []
    for value, kind, name in parts:
        width = 100 * value / total if total else 0.0
        hint = el("title", f"{name}: {value / total:.3f}" if total else name)
        found.append(el("rect", hint, x=f"{start:.2f}%", width=f"{width:.2f}%", height="100%", class_=kind))
        start += width
    spoken = ", ".join(f"{name} {value / total:.2f}" if total else name for value, _, name in parts)
    return el("svg", join(found), class_="bar stacked", role="img", aria_label=spoken)

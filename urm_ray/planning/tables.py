"""Aligned text tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

WIDTH = 120


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of columns as wide as their longest cell; those whose cells are all numbers stand to the right."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    right = [i > 0 and all(_is_number(row[i]) for row in rows) for i in range(len(head))]
    for row in (head, *rows):
        cells = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
        yield "  " + "  ".join(cells).rstrip()


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell in ("no", "?") or cell.startswith("-")


def heading(words: str) -> str:
    return f"\n{words}"


def wrapped(words: str, mark: str = "") -> str:
    """A sentence over several lines, under its mark."""
    indent = "  " + mark
    return textwrap.fill(words, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))


def gib(size: float) -> str:
    """Bytes in GiB, with as many digits as say something."""
    amount = size / 2**30
    if not size:
        return "0"
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.1f}" if amount >= 0.1 else f"{amount:.3f}"


def number(value: float) -> str:
    """A count, or a short decimal."""
    if value >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def hours(value: float | None) -> str:
    """Hours, or minutes where they are few; ? where it is not known."""
    if value is None:
        return "?"
    return f"{value:,.1f} h" if value >= 1 else f"{60 * value:.1f} min" if value >= 1 / 60 else f"{3600 * value:.0f} s"

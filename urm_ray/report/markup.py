"""Markup that is safe by construction: text is escaped where it enters, tags always close."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from urm_ray.secrets import masked

_VOID = ("img", "input", "meta", "wbr")


class Html(str):
    """Finished markup, which is not escaped again."""

    __slots__ = ()


def join(parts: Iterable[str | None]) -> Html:
    """The parts one after the other: `Html` as it is, any other text escaped, None left out."""
    return Html("".join(p if isinstance(p, Html) else html.escape(p) for p in parts if p is not None))


def el(tag: str, *children: str | None, **attributes: str | float | None) -> Html:
    """An element. `class_` sets class, `stroke_width` sets stroke-width; attributes that are None are left out."""
    named = [(name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items() if value is not None]
    start = "<" + " ".join([tag, *[f'{name}="{html.escape(str(value))}"' for name, value in named]]) + ">"
    return Html(start if tag in _VOID else f"{start}{join(children)}</{tag}>")


def path(text: str) -> Html:
    """A path or a dotted name, which may break into lines behind its slashes, colons and dots. Keys are hidden."""
    pieces = re.split(r"(?<=[/:.])(?=\w)", masked(text))
    return el("code", *[part for piece in pieces for part in (piece, el("wbr"))][:-1])

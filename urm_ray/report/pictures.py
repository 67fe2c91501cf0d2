"""Pictures from the stages, put into the page as they are."""

from __future__ import annotations

import base64
from typing import Any

from urm_ray.report.markup import Html, el

SMALL = 64
"""Pictures up to this many pixels wide and high are enlarged without smoothing."""


def is_small(media: dict[str, Any]) -> bool:
    return 0 < (media["width"] or 0) <= SMALL and 0 < (media["height"] or 0) <= SMALL


def mime_of(data: bytes) -> str | None:
    """The type of encoded bytes, from their first ones; None unless browsers show it as a picture."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def picture(candidate: dict[str, Any] | None, alt: str) -> Html:
    """A candidate's picture, or an empty frame that says why there is none."""
    media = (candidate or {}).get("media") or {}
    mime = mime_of(media.get("data") or b"")
    if mime is None:
        return el("span", (candidate or {}).get("error") or "no picture", class_="picture empty")
    source = f"data:{mime};base64,{base64.b64encode(media['data']).decode()}"
    kind = "picture pixels" if is_small(media) else "picture"
    return el("img", src=source, alt=alt, width=media["width"], height=media["height"], class_=kind)


def size_class(candidates: list[dict[str, Any] | None]) -> str | None:
    """CSS class of a group of pictures: `wide` unless all of them are small."""
    media = [c["media"] for c in candidates if c and c["media"]]
    return None if all(map(is_small, media)) else "wide"

"""Pictures, clips and answers from the stages, put into the page as they are."""

from __future__ import annotations

import base64
from typing import Any

from urm_ray.report.markup import Html, el

SMALL = 64
"""Pictures up to this many pixels wide and high are enlarged without smoothing."""


def is_small(media: dict[str, Any]) -> bool:
    return 0 < (media["width"] or 0) <= SMALL and 0 < (media["height"] or 0) <= SMALL


def mime_of(data: bytes) -> str | None:
    """The type of encoded bytes, from their first ones; None unless browsers show it."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[4:8] == b"ftyp":
        return "video/mp4"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def shown(candidate: dict[str, Any] | None, alt: str) -> Html:
    """A candidate's picture, clip or answer, or an empty frame that says why there is none."""
    found = candidate or {}
    if found.get("media") is None and found.get("text"):
        return el("blockquote", found["text"], class_="answer")
    return media_of(found.get("media"), alt) or el("span", found.get("error") or "no picture", class_="picture empty")


def media_of(media: dict[str, Any] | None, alt: str) -> Html | None:
    """A `schema.MEDIA` value as a picture, or as a clip that plays over and over; None if browsers cannot show it."""
    mime = mime_of((media or {}).get("data") or b"")
    if media is None or mime is None:
        return None
    source = f"data:{mime};base64,{base64.b64encode(media['data']).decode()}"
    kind = "picture pixels" if is_small(media) else "picture"
    size = {"width": media["width"], "height": media["height"], "class_": kind}
    if mime.startswith("video/"):
        return el("video", src=source, aria_label=alt, autoplay="", loop="", muted="", playsinline="", **size)
    return el("img", src=source, alt=alt, **size)


def asked(row: dict[str, Any]) -> Html:
    """The prompt of a row, with the pictures and clips that it is about."""
    about = [media_of(media, f"asked about: {row['prompt']}") for media in row["context"] or ()]
    prompt = el("p", row["prompt"], class_="prompt", title=row["prompt"])
    return el("div", *[a for a in about if a], prompt, class_="asked about" if about else "asked")


def size_class(candidates: list[dict[str, Any] | None]) -> str | None:
    """CSS class of a group of pictures: `wide` unless all of them are small."""
    media = [c["media"] for c in candidates if c and c["media"]]
    return None if all(map(is_small, media)) else "wide"

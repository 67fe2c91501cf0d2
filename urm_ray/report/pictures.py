"""Pictures, clips and answers from the stages, put into the page."""

from __future__ import annotations

import base64
from typing import Any

from urm_ray.media import MediaError, decode_image
from urm_ray.report.markup import Html, el
from urm_ray.report.moving import moving

SMALL = 64
"""Pictures up to this many pixels wide and high are enlarged without smoothing."""


def is_small(media: dict[str, Any]) -> bool:
    return 0 < (media["width"] or 0) <= SMALL and 0 < (media["height"] or 0) <= SMALL


def mime_of(data: bytes) -> str:
    """The type of an encoded picture that `decode_image` takes, from its first bytes."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    return "image/jpeg" if data.startswith(b"\xff\xd8\xff") else "image/webp"


def shown(candidate: dict[str, Any] | None, alt: str) -> Html:
    """A candidate's picture, clip or answer, or an empty frame that says why there is none."""
    found = candidate or {}
    if found.get("media") is None and found.get("text"):
        return el("blockquote", found["text"], class_="answer")
    if found.get("media") is None:
        return _empty(found.get("error") or "nothing was made")
    return media_of(found["media"], alt)


def media_of(media: dict[str, Any], alt: str) -> Html:
    """A `schema.MEDIA` value as a picture, in its own bytes, or as a clip that plays over and over.

    What does not decode is an empty frame with the reason. Of a clip there is a second picture with some of its frames,
    which takes its place where nothing should move.
    """
    try:
        if media["kind"] != "video":
            decode_image(media)
            return _picture(media, media["data"], alt)
        played, frames = moving(media, exact=is_small(media))
    except MediaError as error:
        return _empty(str(error))
    if frames is None:
        return _picture(media, played, alt)
    both = _picture(media, played, alt, "playing"), _picture(media, frames, f"frames of {alt}", "frames")
    return el("span", *both, class_="clip")


def _empty(reason: str) -> Html:
    return el("span", reason, class_="picture empty")


def _picture(media: dict[str, Any], data: bytes, alt: str, kind: str | None = None) -> Html:
    kinds = filter(None, ("picture", "pixels" if is_small(media) else None, kind))
    source = f"data:{mime_of(data)};base64,{base64.b64encode(data).decode()}"
    return el("img", src=source, alt=alt, width=media["width"], height=media["height"], class_=" ".join(kinds))


def asked(row: dict[str, Any]) -> Html:
    """The prompt of a row, with the pictures and clips that it is about."""
    about = [media_of(media, f"asked about: {row['prompt']}") for media in row["context"] or ()]
    prompt = el("p", row["prompt"], class_="prompt", title=row["prompt"])
    return el("div", *about, prompt, class_="asked about" if about else "asked")


def size_class(candidates: list[dict[str, Any] | None]) -> str | None:
    """CSS class of a group of candidates: `answers` where they are texts, `wide` unless all pictures are small."""
    media = [c["media"] for c in candidates if c and c["media"]]
    if not media and any(c and c["text"] for c in candidates):
        return "answers"
    return None if all(map(is_small, media)) else "wide"

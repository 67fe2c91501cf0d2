"""Which candidates of a prompt are the same to a judge, so that it is not asked twice, nor to choose between them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

EQUAL = "equal candidates"
"""The reason of a tie that no judge was asked about."""


def normalised(text: str) -> str:
    """A text as far as a reader minds: without case, spacing, ways to write one character, and the last full stop."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split()).rstrip(" .!")


def first_equals(candidates: Sequence[dict[str, Any]]) -> dict[int, int]:
    """For the index of each `schema.CANDIDATE` value that of the first one that equals it, often itself.

    Texts are equal when they read the same, media when their files are. One with an error equals none.
    """
    first: dict[Any, int] = {}
    found = {}
    for candidate in candidates:
        index, media = candidate["index"], candidate["media"]
        content: Any = index
        if not candidate["error"] and media is not None and media["sha256"]:
            content = media["sha256"]
        elif not candidate["error"] and media is None and candidate["text"] is not None:
            content = (normalised(candidate["text"]),)
        found[index] = first.setdefault(content, index)
    return found


def distinct(candidates: Sequence[dict[str, Any]]) -> list[int]:
    """Indices of the candidates that no earlier one equals."""
    return [index for index, first in first_equals(candidates).items() if index == first]

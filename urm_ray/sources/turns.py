"""Conversations of two turns, a question and its answer, as many data sets hold their records."""

from __future__ import annotations

import re

from urm_ray.sources.fields import FieldError, Record, listed, text

_PLACEHOLDER = re.compile(r"<(?:image|video)>")


def one_turn(record: Record) -> tuple[str, str]:
    """(question, answer) of `conversations`, [{from: human, value}, {from: gpt, value}]; the question without the
    places of pictures and clips. FieldError for more or other turns."""
    turns = listed(record, "conversations")
    if [turn.get("from") if isinstance(turn, dict) else None for turn in turns] != ["human", "gpt"]:
        raise FieldError("not one question and one answer", f"{len(turns)} turns")
    return without_places(text(turns[0], "value")), text(turns[1], "value")


def without_places(question: str) -> str:
    """A question without `<image>` and `<video>`; FieldError where nothing is left."""
    found = _PLACEHOLDER.sub("", question).strip()
    if not found:
        raise FieldError("empty question")
    return found

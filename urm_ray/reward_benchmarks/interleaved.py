"""Questions about answers of words and pictures, in the form that a protocol has for answers of words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from urm_ray.chat import Seen, slot_of
from urm_ray.judge.engine import Question
from urm_ray.judge.form import Form
from urm_ray.judge.item import Item
from urm_ray.media import MediaError

Parts = tuple[Seen | str, ...]
"""An answer as it is shown."""

_BEGIN, _END = "\ue000", "\ue001"  # characters for private use, which no text has


@dataclass(frozen=True)
class InterleavedItem(Item):
    """An item whose candidates are names of answers; `answers` has the parts of each, texts and pictures in order.

    The form is asked with the names in place of the answers, and then each name gives way to its parts, so that every
    form that shows texts shows these, in its own words.
    """

    answers: Mapping[str, Parts] = field(default_factory=dict)

    def question(self, form: Form) -> Question:
        """What is asked; MediaError if the form does not show each answer once."""
        asked = super().question(form)
        media = iter(asked.media)
        shown: list[Seen] = []
        named: list[str] = []

        def filled(content: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            for part in content:
                if part["type"] != "text":
                    shown.append(next(media))
                    yield part
                    continue
                for piece in self._pieces(part["text"]):
                    if piece in self.answers:
                        named.append(piece)
                        yield from self._parts(piece, shown)
                    elif piece:
                        yield {"type": "text", "text": piece}

        messages = [{**message, "content": list(filled(message["content"]))} for message in asked.messages]
        if sorted(named) != sorted(self.answers):
            raise MediaError("the protocol does not show each answer once")
        return replace(asked, messages=messages, media=tuple(shown))

    @property
    def texts(self) -> list[str]:
        return [part for parts in self.answers.values() for part in parts if isinstance(part, str)]

    def _pieces(self, text: str) -> list[str]:
        """A text cut before and behind each name."""
        for name in self.answers:
            text = text.replace(name, f"\0{name}\0")
        return text.split("\0")

    def _parts(self, name: str, shown: list[Seen]) -> Iterator[dict[str, Any]]:
        for part in self.answers[name]:
            if isinstance(part, str):
                yield {"type": "text", "text": part}
            else:
                shown.append(part)
                yield {"type": slot_of(part)}


def names_of(item_id: str) -> tuple[str, str]:
    """Names for the two answers of an item, which stand nowhere else."""
    return f"{_BEGIN}{item_id} A{_END}", f"{_BEGIN}{item_id} B{_END}"

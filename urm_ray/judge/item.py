"""One thing to be judged, and what there is to see or read of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from urm_ray.chat import Seen, slot_of
from urm_ray.clips import Sampling, decode_media
from urm_ray.judge.engine import Question
from urm_ray.judge.form import Form
from urm_ray.judge.protocol import Kind
from urm_ray.media import MediaError

Shown = Seen | str | MediaError
"""A candidate or a part of the context: a picture, a clip, a text, or why it cannot be shown."""


@dataclass(frozen=True)
class Item:
    """One thing to be judged: the candidates and what the prompt is about. `form` is asked in place of the default."""

    task: str
    kind: Kind
    prompt: str
    candidates: tuple[Shown, ...]
    context: tuple[Shown, ...] = ()
    form: Form | None = None

    @classmethod
    def of(cls, row: dict[str, Any], sampling: Sampling, form: Form) -> Item:
        """From a `schema.PREFERENCE` row; what does not decode is in the item as its error."""
        candidates = tuple(shown_of(candidate, sampling) for candidate in row["candidates"])
        context = tuple(media_of(media, sampling) for media in row["context"] or ())
        return cls(row["task"], row["kind"], row["prompt"], candidates, context, form)

    def swapped(self) -> Item:
        """The same with the candidates in the other order."""
        return replace(self, candidates=self.candidates[::-1])

    def question(self, form: Form) -> Question:
        """What is asked; MediaError if something cannot be shown."""
        context, candidates = _able(self.context), _able(self.candidates)
        kinds = {"text" if isinstance(shown, str) else slot_of(shown) for shown in candidates}
        if kinds != {form.slot}:
            raise MediaError(f"a candidate of {self.task} is {' and '.join(sorted(kinds))}, not {form.slot}")
        wanted, about = form.template.context, form.template.about(context)
        if wanted is not None and wanted != len(context):
            raise MediaError(f"the question is about {wanted} pictures or clips, and {len(context)} are there")
        texts = [shown for shown in candidates if isinstance(shown, str)]
        media = tuple(shown for shown in (*about, *candidates) if not isinstance(shown, str))
        slots = [slot_of(seen) for seen in media[: len(about)]]
        return Question(form.messages(self.prompt, slots, texts), media, tuple(form.answers))

    def shown(self, question: Question) -> list[str]:
        """The words that the judge was shown: those of its question, and those put into them."""
        asked = [part["text"] for part in question.messages[0]["content"] if part["type"] == "text"]
        # A judge may quote a sentence of an answer alone, and what that says is not the judge's word.
        sentences = [said.strip("[]\"'.!? ") for text in self.texts for said in _SENTENCE_END.split(text)]
        return [*asked, self.prompt, *self.texts, *sentences]

    @property
    def texts(self) -> list[str]:
        """The words of the candidates."""
        return [one for one in self.candidates if isinstance(one, str)]


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'\])]*\s+")


def _able(shown: Sequence[Shown]) -> list[Seen | str]:
    """What can be shown; the first MediaError is raised."""
    for one in shown:
        if isinstance(one, MediaError):
            raise one
    return [one for one in shown if not isinstance(one, MediaError)]


def media_of(media: dict[str, Any] | None, sampling: Sampling) -> Seen | MediaError:
    """The decoded picture or clip of a `schema.MEDIA` value, or the error, which then costs this candidate alone."""
    try:
        return decode_media(media, sampling)
    except MediaError as error:
        return error


def shown_of(candidate: dict[str, Any], sampling: Sampling) -> Shown:
    """What there is to see or read of a `schema.CANDIDATE` value, or of a candidate of a `schema.PREFERENCE` row."""
    if candidate.get("error"):
        return MediaError(candidate["error"])
    if candidate["media"] is None and candidate["text"] is not None:
        return candidate["text"]
    return media_of(candidate["media"], sampling)

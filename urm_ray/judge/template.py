"""The words of a question: Jinja templates with places for pictures, clips and texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from urm_ray.judge.said import Slot

Part = dict[str, str]
Left = Literal["prompt", "context"]
_SANDBOX = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


class ProtocolError(ValueError):
    """A protocol that cannot be used; the message is for the person who wrote or named it."""


@cache
def _compiled(text: str) -> Template:
    return _SANDBOX.from_string(text)


def _mark(values: Sequence[str]) -> str:
    """The beginning of a mark that none of the values has, so that no prompt can pass for a picture."""
    number = 0
    while any(f"\x02{number}:" in value for value in values):
        number += 1
    return f"\x02{number}:"


@dataclass(frozen=True)
class Asking:
    """What is asked about one or two candidates.

    texts: templates, each of which becomes one text of the chat, parted by the slots in it. They know `prompt`,
    `context` (what the prompt is about), `first` and `second` or, of one, `candidate`; of a point also `scale` ("from 1
    to 5"), `minimum`, `maximum`, and `dimension`, which is none for an overall score. A candidate that is a text is put
    in as it is; nothing that is put in is read as a template. context: how many things the prompt has to be about,
    None for any number. leaves_out: what is not told on purpose.
    """

    texts: tuple[str, ...]
    slot: Slot
    candidates: tuple[str, ...]
    context: int | None = None
    leaves_out: frozenset[Left] = frozenset()

    def about(self, context: Sequence[Any]) -> list[Any]:
        """What of the context is shown."""
        return [] if "context" in self.leaves_out else list(context)

    def parts(self, prompt: str, context: Sequence[str], texts: Sequence[str], **facts: Any) -> list[Part]:
        """Chat content, whose slots are those of the context and then of the candidates, in order.

        context: the kind, image or video, of each thing the prompt is about. ValueError where texts are not the
        candidates of this form; ProtocolError where the template fails.
        """
        media: list[str] = self.about(context)
        mark = _mark([prompt, *texts, *map(str, facts.values())])
        values = {"prompt": prompt, "context": "".join(f"{mark}{number}\x03" for number in range(len(media))), **facts}
        if self.slot == "text":
            values |= dict(zip(self.candidates, texts, strict=True))
        elif texts:
            raise ValueError(f"candidates of this form are no texts: they fill {self.slot} slots")
        else:
            values |= {name: f"{mark}{len(media) + number}\x03" for number, name in enumerate(self.candidates)}
            media += [self.slot] * len(self.candidates)
        slot = re.compile(f"{re.escape(mark)}([0-9]+)\x03")
        content: list[Part] = []
        shown = []
        for template in self.texts:
            pieces = slot.split(_rendered(template, values))
            for place, piece in enumerate(pieces):
                if place % 2:
                    shown.append(int(piece))
                    content.append({"type": media[int(piece)]})
                elif piece:
                    content.append({"type": "text", "text": piece})
        if shown != list(range(len(media))):
            names = ", ".join(f"{{{{ {name} }}}}" for name in ["context", *self.candidates])
            raise ProtocolError(f"a question has to show {names} once each, in this order")
        return content


def _rendered(template: str, values: dict[str, Any]) -> str:
    try:
        return _compiled(template).render(values)
    except Exception as error:  # a template can fail in any way that its expressions can
        raise ProtocolError(f"the template {template[:40]!r} fails: {error or type(error).__name__}") from error

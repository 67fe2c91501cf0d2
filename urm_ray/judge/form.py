"""One kind of question of one task: how it is asked, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from urm_ray.judge.parsers import PARSERS, read
from urm_ray.judge.said import Expected, Said, Slot
from urm_ray.judge.scale import Scale
from urm_ray.judge.template import Asking, Part, ProtocolError

OVERALL = "overall"
"""The dimension of a score that is about everything."""


@dataclass(frozen=True)
class Form:
    """One kind of question of one task.

    answers: where they are a closed set, each answer text with its meaning: first, second or tie for a pair, a value of
    the scale for a point; otherwise answers have to be decoded. dimension: what is asked about in place of everything.
    questions: the forms that a score is asked in one by one, where it takes several; it is the mean of all their
    dimensions.
    """

    template: Asking
    expected: Expected
    answers: dict[str, str | int] = field(default_factory=dict)
    dimension: str | None = None
    questions: tuple[Form, ...] = ()

    @property
    def scale(self) -> Scale | None:
        """Of a point, its scale; of a pair None."""
        expected = self.expected
        return expected.scale if expected.wanted is None else expected.dimension_scale or expected.scale

    @property
    def slot(self) -> Slot:
        """What the candidates are."""
        return self.template.slot

    @property
    def asked(self) -> tuple[Form, ...]:
        """The forms of the questions that are asked: this one, unless it takes several."""
        return self.questions or (self,)

    @property
    def closed(self) -> bool:
        """Whether all that can be answered is known beforehand, so that no answer has to be decoded."""
        return all(form.answers for form in self.asked)

    def wanting(self, dimension: str | None) -> Form:
        """The form whose verdict is about one of its dimensions; itself if it has no such dimension."""
        for form in self.asked:
            for name in form.expected.dimensions:
                if dimension is not None and name.lower() == dimension.lower():
                    return replace(form, expected=replace(form.expected, wanted=name))
        return self

    def parts(self, prompt: str, context: Sequence[str] = (), texts: Sequence[str] = ()) -> list[Part]:
        """The user's turn as chat content.

        context: the kind, image or video, of each thing the prompt is about; they get slots. texts: the candidates of
        a form whose slot is text, else none; ValueError if their number is wrong.
        """
        facts: dict[str, Any] = {}
        if (scale := self.expected.scale) is not None:
            facts = {"minimum": scale.minimum, "maximum": scale.maximum, "scale": scale.asked}
            facts["dimension"] = self.dimension
        return self.template.parts(prompt, context, texts, **facts)

    def messages(self, prompt: str, context: Sequence[str] = (), texts: Sequence[str] = ()) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.parts(prompt, context, texts)}]

    @property
    def asking(self) -> str:
        """The last of `words`: what is asked about the candidates."""
        return self.words[-1]

    @property
    def words(self) -> tuple[str, ...]:
        """The texts of the question, with `{prompt}` in the place of the prompt and nothing in that of candidates."""
        blank = [""] * len(self.template.candidates) if self.slot == "text" else []
        return tuple(part["text"] for part in self.parts("{prompt}", (), blank) if part["type"] == "text")

    def answer_for(self, meaning: str | int) -> str:
        """The answer text that means this; ValueError if no answer does, or if answers are no closed set."""
        for text, value in self.answers.items():
            if value == meaning:
                return text
        raise ValueError(f"no answer of this form means {meaning!r}; there are {list(self.answers.values())}")

    def read(self, text: str, cut_at: int | None = None, shown: Iterable[str] = ()) -> Said:
        """What a decoded answer says (`parsers.read`)."""
        return read(text, self.expected, cut_at, shown)

    def parse(self, text: str) -> str | float | None:
        """The meaning of a decoded answer, or None where it is not exactly one of the forms we know."""
        return self.read(text).meaning


def check(form: Form, kind: str) -> None:
    """ProtocolError where a question cannot be asked, or its own words would pass for an answer."""
    parser = PARSERS.get(form.expected.parser)
    if parser is None or parser.kind != kind:
        able = [name for name, one in PARSERS.items() if one.kind == kind]
        raise ProtocolError(f"no parser {form.expected.parser!r} of a {kind}; there are {', '.join(able)}")
    template, prompt = form.template, "The prompt of a check"
    texts = ["The first text", "The second text"][: len(template.candidates)] if form.slot == "text" else []
    context = ["image"] * (1 if template.context is None else template.context)
    words = "\n".join(part["text"] for part in form.parts(prompt, context, texts) if part["type"] == "text")
    if words.count(prompt) != ("prompt" not in template.leaves_out):
        raise ProtocolError("a question has to say {{ prompt }} once, or to name prompt in leave_out")
    places = [words.find(text) for text in texts]
    if -1 in places or places != sorted(places) or any(words.count(text) != 1 for text in texts):
        raise ProtocolError(f"a question has to say {' and '.join(template.candidates)} once each, in this order")
    for line in [*words.splitlines(), words]:
        if form.parse(line) is not None:
            raise ProtocolError(f"words of the question would be read as an answer: {line.strip()[:60]!r}")
    for answer, meaning in form.answers.items():
        if form.parse(answer) != meaning:
            raise ProtocolError(f"the answer {answer!r} is not read as {meaning}")

"""Protocols as files: what a YAML file may say, and the forms that it gives.

The protocols of this package lie in `protocols/`; a path of a file of one's own may stand in place of a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from urm_ray.config_training import Section, Task
from urm_ray.judge.form import Form, check
from urm_ray.judge.said import Expected, Slot
from urm_ray.judge.scale import SCALES, Scale
from urm_ray.judge.template import Asking, Left, ProtocolError

FOLDER = Path(__file__).parent / "protocols"
SLOTS: dict[str, Slot] = {
    "image_generation": "image",
    "image_understanding": "text",
    "video_generation": "video",
    "video_understanding": "text",
}


class ScaleFile(Section):
    """A scale that is none of `SCALES`."""

    name: str
    minimum: int
    maximum: int
    step: int = Field(1, ge=1)
    words: tuple[str, ...] = ()


def _scale(given: str | ScaleFile) -> Scale:
    if isinstance(given, ScaleFile):
        return Scale(**given.model_dump())
    if given not in SCALES:
        raise ValueError(f"no scale {given!r}; there are {', '.join(SCALES)}")
    return SCALES[given]


class Question(Section):
    """One question: its words (`template.Asking`) and what its answer holds (`said.Expected`)."""

    ask: str | tuple[str, ...]
    """A template, or several, each a text of its own in the chat."""
    dimensions: tuple[str, ...] = ()
    """What the answer scores one by one, as it names them."""
    context: int | None = Field(None, ge=0)
    """How many pictures or clips the prompt has to be about; None for any number."""
    leave_out: tuple[Left, ...] = ()
    """What the question does not tell on purpose."""

    def asking(self, slot: Slot, candidates: tuple[str, ...]) -> Asking:
        texts = (self.ask,) if isinstance(self.ask, str) else self.ask
        return Asking(texts, slot, candidates, self.context, frozenset(self.leave_out))


class Pair(Question):
    """How two candidates are compared."""

    parser: str = "verdict"
    answers: dict[Literal["first", "second", "tie"], str] = Field(default_factory=dict)
    """All that can be answered, where that is known; empty where answers are decoded."""

    @model_validator(mode="after")
    def _both_can_win(self) -> Pair:
        if self.answers and not {"first", "second"} <= self.answers.keys():
            raise ValueError("answers: first and second are needed; tie may be left out")
        return self

    def form(self, slot: Slot) -> Form:
        expected = Expected(self.parser, slot, dimensions=self.dimensions)
        return Form(self.asking(slot, ("first", "second")), expected, {text: m for m, text in self.answers.items()})


class Point(Section):
    """How one candidate is scored, in one question or in several."""

    scale: str | ScaleFile
    """Of the score: one of `SCALES`, or a scale of its own."""
    ask: str | tuple[str, ...] | None = None
    questions: tuple[Question, ...] = ()
    """In place of `ask`: the score is the mean of the dimensions of all."""
    parser: str = "scores"
    scales: Literal["own", "any"] = "own"
    """any: asked on whichever of `SCALES` and in whichever dimension, by `{{ scale }}` and `{{ dimension }}`."""
    answers: Literal["scale"] | None = None
    """scale: a value of the scale is all that can be answered; None where answers are decoded."""
    final: str | None = "Final Score"
    """The label of the score; None where it is the mean of `dimensions`."""
    dimensions: tuple[str, ...] = ()
    dimension_scale: str | ScaleFile | None = None
    """Where it is not `scale`."""
    marks: Literal["elements", "words"] | None = None
    """What the answer lists besides: elements of the prompt, or its words."""
    context: int | None = Field(None, ge=0)
    leave_out: tuple[Left, ...] = ()

    @model_validator(mode="after")
    def _one_or_several(self) -> Point:
        if (self.ask is None) == (not self.questions):
            raise ValueError("a point needs either ask or questions")
        if self.questions and (self.dimensions or self.context is not None or self.leave_out or self.scales == "any"):
            raise ValueError("dimensions, context and leave_out are those of each of the questions, on their own scale")
        scored = all(one.dimensions for one in self.questions) if self.questions else bool(self.dimensions)
        if (self.final is None or self.questions) and not scored:
            raise ValueError("a score that is a mean needs dimensions")
        return self

    def form(self, slot: Slot) -> Form:
        forms = tuple(self._form(one, slot) for one in self.questions or [self._question()])
        if not self.questions:
            return forms[0]
        return Form(forms[0].template, forms[0].expected, questions=forms)

    def _question(self) -> Question:
        assert self.ask is not None
        return Question(ask=self.ask, dimensions=self.dimensions, context=self.context, leave_out=self.leave_out)

    def _form(self, question: Question, slot: Slot) -> Form:
        scale = _scale(self.scale)
        own = None if self.dimension_scale is None else _scale(self.dimension_scale)
        expected = Expected(self.parser, slot, scale, self.final, question.dimensions, own, None, self.marks)
        answers = scale.answers if self.answers == "scale" else {}
        return Form(question.asking(slot, ("candidate",)), expected, answers)


class Kinds(Section):
    pair: Pair | None = None
    point: Point | None = None


class ProtocolFile(Section):
    """A protocol as it is written down."""

    about: str
    """Which judges are asked so."""
    extends: str | None = None
    """A protocol that this one adds to: a name, or a path beside this file. A kind of a task that is here stands in
    place of the other's."""
    tasks: dict[Task, Kinds]


def names() -> list[str]:
    """The protocols of this package, ours first."""
    found = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    return sorted(found, key=lambda name: name != "unified")


def path_of(name: str, beside: Path | None = None) -> Path:
    """The file of a protocol by name or path; ProtocolError if there is none."""
    if Path(name).suffix in (".yaml", ".yml"):
        path = (beside or Path()) / Path(name).expanduser()
        if not path.is_file():
            raise ProtocolError(f"there is no protocol at {path}")
        return path
    if name not in names():
        raise ProtocolError(f"no protocol {name!r}; there are {', '.join(names())}, or give the path of a .yaml file")
    return FOLDER / f"{name}.yaml"


def read(path: Path, above: Sequence[Path] = ()) -> ProtocolFile:
    """A file with what it extends; ProtocolError with one sentence for each mistake."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        raise ProtocolError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
    try:
        own = ProtocolFile.model_validate(values)
    except ValidationError as error:
        raise ProtocolError(f"{path}: {'; '.join(map(_sentence, error.errors()))}") from None
    if own.extends is None:
        return own
    below = path_of(own.extends, path.parent)
    if below.resolve() in [one.resolve() for one in (path, *above)]:
        raise ProtocolError(f"{path} extends a protocol that extends it")
    base = read(below, (*above, path))
    tasks = {task: _over(base.tasks.get(task), own.tasks.get(task)) for task in {**base.tasks, **own.tasks}}
    return ProtocolFile(about=own.about, tasks=tasks)


def _over(below: Kinds | None, above: Kinds | None) -> Kinds:
    under, over = below or Kinds(), above or Kinds()
    return Kinds(pair=over.pair or under.pair, point=over.point or under.point)


def _sentence(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        return f"unknown key {name}"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"


def forms(file: ProtocolFile, where: str) -> dict[tuple[Task, str], Form]:
    """The form of each task and kind; ProtocolError where one cannot be asked, or not be read."""
    found: dict[tuple[Task, str], Form] = {}
    for task, kinds in file.tasks.items():
        for kind, given in (("pair", kinds.pair), ("point", kinds.point)):
            if given is None:
                continue
            try:
                form = given.form(SLOTS[task])
                for one in form.asked:
                    check(one, kind)
            except ValueError as error:
                raise ProtocolError(f"{where}, {kind} of {task}: {error}") from None
            found[task, kind] = form
    return found

"""How a judge is asked, and what its answers mean.

A protocol knows, for a task and a kind of question, the words around the candidates and the answers that the judge may
give, or the form of those that it writes. Reading an answer back is the other half of the same table, so the two can't
drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from urm_ray.judge import protocol_file
from urm_ray.judge.form import OVERALL, Form
from urm_ray.judge.scale import SCALES, Scale
from urm_ray.judge.template import ProtocolError
from urm_ray.schema import digest

__all__ = ["OVERALL", "UNIFIED", "Form", "Kind", "Points", "Protocol", "ProtocolError", "protocol"]

Kind = Literal["pair", "point"]
Readout = Literal["logits", "generate"]


@dataclass(frozen=True)
class Points:
    """The point questions of one task. free: they can be asked on any scale of SCALES and in any dimension."""

    own: Form
    free: bool = False

    def form(self, scale: str | None = None, dimension: str | None = None) -> Form:
        """The form on a scale of SCALES, else on the task's own; ValueError if there is no such scale.

        Where questions are not free, the scale is always the task's own, and a dimension that is not scored is judged
        by everything.
        """
        if scale is not None and scale not in SCALES:
            raise ValueError(f"no scale {scale!r}; there are {', '.join(SCALES)}")
        asked = None if dimension == OVERALL else dimension
        if not self.free:
            return self.own.wanting(asked)
        used = self.own.scale if scale is None else SCALES[scale]
        assert used is not None
        expected = replace(self.own.expected, scale=used)
        return replace(self.own, expected=expected, answers=used.answers if self.own.answers else {}, dimension=asked)

    def on(self, scale: str) -> Points:
        """The same with another scale of its own, where it is free to have one."""
        return replace(self, own=self.form(scale)) if self.free else self


@dataclass(frozen=True)
class Protocol:
    """The forms of a family of judges: of each task how a pair is asked, and how points are, as far as they are.

    digest: of all that it says.
    """

    name: str
    pairs: dict[str, Form]
    points: dict[str, Points]
    digest: str = ""

    @cached_property
    def forms(self) -> dict[tuple[str, str], Form]:
        """By task and kind, points overall on the task's own scale."""
        pairs = {(task, "pair"): form for task, form in self.pairs.items()}
        return pairs | {(task, "point"): points.own for task, points in self.points.items()}

    def form(self, task: str, kind: Kind, scale: str | None = None, dimension: str | None = None) -> Form:
        """How a task is asked; a point on the named scale and in the named dimension, by default overall on its own.

        A pair is about the dimension only where the judge compares it (`Form.wanting`).
        """
        if (task, kind) not in self.forms:
            hint = "; pairs.construction: pair needs none" if kind == "point" and task in self.pairs else ""
            raise ProtocolError(f"protocol {self.name} does not ask {kind} questions about {task}{hint}")
        if kind == "pair":
            return self.pairs[task].wanting(dimension)
        if scale is None and dimension in (None, OVERALL):
            return self.forms[task, kind]
        return self.points[task].form(scale, dimension)

    def questions(self, task: str, kind: Kind) -> int:
        """How many questions one verdict takes; 0 where the protocol asks none of this kind."""
        form = self.forms.get((task, kind))
        return len(form.asked) if form else 0

    def on(self, scales: Mapping[str, str]) -> Protocol:
        """The same with other scales of their own for some tasks, where their questions are free to have one;
        ValueError if a scale is not known."""
        if unknown := set(scales.values()) - set(SCALES):
            raise ValueError(f"no scale {', '.join(map(repr, unknown))}; there are {', '.join(SCALES)}")
        points = {t: p.on(scales[t]) if t in scales else p for t, p in self.points.items()}
        return replace(self, points=points)

    def form_of(self, row: dict[str, Any]) -> Form:
        """The form that a `schema.PREFERENCE` row is an answer to: a point on its own scale where there is a form for
        it, else on the task's, to which its score has to be carried over."""
        name = (row["scale"] or {}).get("name")
        return self.form(row["task"], row["kind"], name if name in SCALES else None, row["dimension"])

    def scale(self, task: str) -> Scale:
        """The scale of a task's points; ValueError where the protocol asks none."""
        scale = self.form(task, "point").scale
        assert scale is not None
        return scale

    def need_readout(self, readout: Readout) -> None:
        """ProtocolError where answers cannot be read in this way: logits tell those of closed sets alone."""
        opened = [f"{kind} of {task}" for (task, kind), form in self.forms.items() if not form.closed]
        if readout == "logits" and opened:
            raise ProtocolError(
                f"protocol {self.name} has answers that have to be decoded ({', '.join(opened)}): name a judge that is "
                "trained already in judge.path, and set judge.readout to generate"
            )


def protocol(name: str) -> Protocol:
    """A protocol of this package by its name, or one's own by the path of its .yaml file; ProtocolError, a ValueError,
    where there is none or it cannot be used."""
    return _shipped(name) if name in protocol_file.names() else _built(protocol_file.path_of(name))


@cache
def _shipped(name: str) -> Protocol:
    return _built(protocol_file.path_of(name))


def _built(path: Path) -> Protocol:
    file = protocol_file.read(path)
    forms = protocol_file.forms(file, str(path))
    pairs: dict[str, Form] = {task: form for (task, kind), form in forms.items() if kind == "pair"}
    free = {task for task, kinds in file.tasks.items() if kinds.point and kinds.point.scales == "any"}
    points: dict[str, Points] = {t: Points(form, t in free) for (t, kind), form in forms.items() if kind == "point"}
    return Protocol(path.stem, pairs, points, digest(file.model_dump(mode="json")))


UNIFIED = protocol("unified")
"""What judges that this package trains are asked."""

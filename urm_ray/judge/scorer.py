"""Asks a judge about candidates and types its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from urm_ray.chat import Seen, slot_of
from urm_ray.clips import Sampling, decode_media
from urm_ray.config import DEFAULT_CLIPS, JudgeConfig
from urm_ray.judge.engine import Engine, Question, Reading, TransformersEngine
from urm_ray.judge.equal import EQUAL, first_equals
from urm_ray.judge.protocol import Form, Kind, Protocol, protocol
from urm_ray.judge.verdict import PairVerdict, PointVerdict
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
        texts = [shown for shown in candidates if isinstance(shown, str)]
        media = tuple(shown for shown in (*context, *candidates) if not isinstance(shown, str))
        slots = [slot_of(seen) for seen in media[: len(context)]]
        return Question(form.messages(self.prompt, slots, texts), media, tuple(form.answers))


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


class JudgeScorer:
    """Verdicts of one judge under one protocol.

    min_mass: below this probability of saying any of the form's answers, the answer counts as unparsed.
    sampling: the frames of a clip that the judge is shown.
    """

    def __init__(
        self, engine: Engine, forms: Protocol, min_mass: float = 0.0, sampling: Sampling = DEFAULT_CLIPS
    ) -> None:
        self.engine, self.protocol, self.min_mass, self.sampling = engine, forms, min_mass, sampling

    @classmethod
    def load(
        cls, path: str, config: JudgeConfig, min_mass: float | None = None, scales: Mapping[str, str] | None = None
    ) -> JudgeScorer:
        """The judge in a folder, as configured; `min_mass` stands in for the configured one.

        scales: for a task, the scale that candidates are scored on (`SCALES`), else the protocol's.
        """
        engine = TransformersEngine(
            path, config.dtype, batch=config.batch, attention=config.attention, clips=config.clips
        )
        least = config.min_mass if min_mass is None else min_mass
        return cls(engine, protocol(config.protocol).on(scales or {}), least, config.clips)

    def ask(self, items: Sequence[Item]) -> list[PairVerdict | PointVerdict]:
        """One verdict an item, in order; pair and point questions share the engine's batches."""
        questions, asked = [], []
        verdicts: list[PairVerdict | PointVerdict | None] = [None] * len(items)
        for i, item in enumerate(items):
            form = item.form or self.protocol.form(item.task, item.kind)
            try:
                questions.append(item.question(form))
                asked.append((i, form))
            except MediaError as bad:
                verdicts[i] = (PairVerdict if item.kind == "pair" else PointVerdict)("media_error", reason=str(bad))
        for (i, form), reading in zip(asked, self.engine.read(questions), strict=True):
            verdicts[i] = self._verdict(form, reading)
        return [v for v in verdicts if v is not None]

    def _verdict(self, form: Form, reading: Reading) -> PairVerdict | PointVerdict:
        chances = dict(zip(form.answers.values(), reading.probabilities, strict=True))
        unparsed = None
        if not all(p == p for p in reading.probabilities):
            unparsed = "the judge's logits are not numbers"
        elif reading.mass < self.min_mass:
            unparsed = f"the possible answers hold only {reading.mass:.3f} of the probability"
        if form.scale is not None:
            if unparsed:
                return PointVerdict("unparsed", reason=unparsed)
            score = sum(float(value) * p for value, p in chances.items())
            return PointVerdict("score", score, [chances[value] for value in form.scale.values])
        if unparsed:
            return PairVerdict("unparsed", reason=unparsed)
        best = [meaning for meaning, p in chances.items() if p == max(chances.values())]
        outcome = best[0] if len(best) == 1 else "tie"  # equal chances, common in half precision, are no preference
        return PairVerdict(outcome, chances["first"], chances["second"], chances["tie"])  # type: ignore[arg-type]

    def judge_set(self, row: dict[str, Any], pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """The verdict columns of a `schema.JUDGED_SET` row.

        row: a `schema.CANDIDATE_SET` row. pairs: candidate indices in the order to be shown; repeat a pair swapped to
        ask both orders. Every candidate is also scored as a point. Of candidates that are equal the judge sees the
        first alone, and a pair of them is a tie that is not asked.
        """
        task, prompt = row["task"], row["prompt"]
        context = tuple(media_of(media, self.sampling) for media in row["context"] or ())
        shown = {candidate["index"]: shown_of(candidate, self.sampling) for candidate in row["candidates"]}
        first = first_equals(row["candidates"])
        points = list(dict.fromkeys(first.values()))
        orders = list(dict.fromkeys((first[a], first[b]) for a, b in pairs if first[a] != first[b]))
        items = [Item(task, "pair", prompt, (shown[a], shown[b]), context) for a, b in orders]
        items += [Item(task, "point", prompt, (shown[i],), context) for i in points]
        found = dict(zip([*orders, *points], self.ask(items), strict=True))
        tie = PairVerdict("tie", 0.0, 0.0, 1.0, reason=EQUAL)
        ranked = [(a, b, tie if first[a] == first[b] else found[first[a], first[b]]) for a, b in pairs]
        return {
            "pair_verdicts": [v.row(a, b) for a, b, v in ranked if isinstance(v, PairVerdict)],
            "point_verdicts": [v.row(i) for i in shown if isinstance(v := found[first[i]], PointVerdict)],
            "scale": self.protocol.scale(task).row(),
        }

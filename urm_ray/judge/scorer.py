"""Asks a judge about candidates and types its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from urm_ray.config import JudgeConfig
from urm_ray.judge.engine import Engine, Question, Reading, TransformersEngine
from urm_ray.judge.protocol import Form, Kind, Protocol, protocol
from urm_ray.judge.verdict import PairVerdict, PointVerdict
from urm_ray.media import MediaError, decode_image


@dataclass(frozen=True)
class Item:
    """One thing to be judged: the candidates' pictures, or why one of them cannot be shown."""

    task: str
    kind: Kind
    prompt: str
    pictures: tuple[Image.Image | MediaError, ...]


def picture_of(media: dict[str, Any] | None) -> Image.Image | MediaError:
    """The decoded picture of a `schema.MEDIA` value, or the error, which then costs this candidate alone."""
    try:
        return decode_image(media)
    except MediaError as error:
        return error


class JudgeScorer:
    """Verdicts of one judge under one protocol.

    min_mass: below this probability of saying any of the form's answers, the answer counts as unparsed.
    """

    def __init__(self, engine: Engine, forms: Protocol, min_mass: float = 0.0) -> None:
        self.engine, self.protocol, self.min_mass = engine, forms, min_mass

    @classmethod
    def load(cls, path: str, config: JudgeConfig, min_mass: float | None = None) -> JudgeScorer:
        """The judge in a folder, as configured; `min_mass` stands in for the configured one."""
        engine = TransformersEngine(path, config.dtype, batch=config.batch, attention=config.attention)
        return cls(engine, protocol(config.protocol), config.min_mass if min_mass is None else min_mass)

    def ask(self, items: Sequence[Item]) -> list[PairVerdict | PointVerdict]:
        """One verdict an item, in order; pair and point questions share the engine's batches."""
        questions, asked = [], []
        verdicts: list[PairVerdict | PointVerdict | None] = [None] * len(items)
        for i, item in enumerate(items):
            form = self.protocol.form(item.task, item.kind)
            bad = next((p for p in item.pictures if isinstance(p, MediaError)), None)
            if bad is not None:
                verdicts[i] = (PairVerdict if item.kind == "pair" else PointVerdict)("media_error", reason=str(bad))
                continue
            shown = tuple(p for p in item.pictures if isinstance(p, Image.Image))
            questions.append(Question(form.messages(item.prompt), shown, tuple(form.answers)))
            asked.append((i, form))
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
        ask both orders. Every candidate is also scored as a point.
        """
        pictures = {
            c["index"]: MediaError(c["error"]) if c["error"] else picture_of(c["media"]) for c in row["candidates"]
        }
        task, prompt = row["task"], row["prompt"]
        items = [Item(task, "pair", prompt, (pictures[a], pictures[b])) for a, b in pairs]
        items += [Item(task, "point", prompt, (picture,)) for picture in pictures.values()]
        verdicts = self.ask(items)
        return {
            "pair_verdicts": [
                v.row(a, b) for v, (a, b) in zip(verdicts, pairs, strict=False) if isinstance(v, PairVerdict)
            ],
            "point_verdicts": [
                v.row(i) for v, i in zip(verdicts[len(pairs) :], pictures, strict=True) if isinstance(v, PointVerdict)
            ],
            "scale": self.protocol.scale(task).row(),
        }

"""Asks a judge about candidates and types its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from urm_ray.clips import Sampling
from urm_ray.config import JudgeConfig
from urm_ray.config_policy import DEFAULT_CLIPS
from urm_ray.judge.engine import Engine, Reading, Written
from urm_ray.judge.engines import load_engine
from urm_ray.judge.form import Form
from urm_ray.judge.item import Item
from urm_ray.judge.protocol import Protocol, Readout, protocol
from urm_ray.judge.said import unparsed
from urm_ray.judge.sitting import Sitting
from urm_ray.judge.unanswered import Unread, Unwritten
from urm_ray.judge.verdict import PairVerdict, PointVerdict
from urm_ray.media import MediaError
from urm_ray.spent import Spent

_ROUNDING = 0.01
"""How far from 1 probabilities may add up in half precision."""


class JudgeScorer:
    """Verdicts of one judge under one protocol.

    min_mass: below this probability of saying any of the form's answers, the answer counts as unparsed.
    sampling: the frames of a clip that the judge is shown.
    readout: logits, the probabilities of closed answers with no decoding, or generate: at most `max_new_tokens` are
    decoded and read by the protocol's parsers. ProtocolError where the protocol's answers can only be decoded.
    spent: questions, and what the engine counts of tokens.
    """

    def __init__(
        self,
        engine: Engine,
        forms: Protocol,
        min_mass: float = 0.0,
        sampling: Sampling = DEFAULT_CLIPS,
        readout: Readout = "logits",
        max_new_tokens: int = JudgeConfig().max_new_tokens,
    ) -> None:
        forms.need_readout(readout)
        self.engine, self.protocol, self.min_mass, self.sampling = engine, forms, min_mass, sampling
        self.readout, self.max_new_tokens = readout, max_new_tokens
        self.spent: Spent = getattr(engine, "spent", None) or Spent()

    @classmethod
    def load(
        cls, path: str, config: JudgeConfig, min_mass: float | None = None, scales: Mapping[str, str] | None = None
    ) -> JudgeScorer:
        """The judge in a folder, as configured; `min_mass` stands in for the configured one.

        scales: for a task, the scale that candidates are scored on (`SCALES`), else the protocol's.
        """
        forms = protocol(config.protocol).on(scales or {})
        forms.need_readout(config.readout)
        least = config.min_mass if min_mass is None else min_mass
        return cls(load_engine(path, config), forms, least, config.clips, config.readout, config.max_new_tokens)

    def ask(self, items: Sequence[Item]) -> list[PairVerdict | PointVerdict]:
        """One verdict an item, in order; all questions share the engine's batches."""
        found: list[list[PairVerdict | PointVerdict]] = [[] for _ in items]
        asked = []
        for i, item in enumerate(items):
            form = item.form or self.protocol.form(item.task, item.kind)
            try:
                asked += [(i, one, item.question(one)) for one in form.asked]
            except MediaError as bad:
                found[i] = [(PairVerdict if item.kind == "pair" else PointVerdict)("media_error", reason=str(bad))]
        questions = [question for _, _, question in asked]
        self.spent.add(questions=len(questions))
        if self.readout == "logits":
            readings = self.engine.read(questions)
            verdicts = [self._verdict(form, one) for (_, form, _), one in zip(asked, readings, strict=True)]
        else:
            answers = self.engine.write(questions, self.max_new_tokens)
            shown = [items[i].shown(question) for i, _, question in asked]
            verdicts = [
                self._heard(form, words, one) for (_, form, _), words, one in zip(asked, shown, answers, strict=True)
            ]
        for (i, _, _), verdict in zip(asked, verdicts, strict=True):
            found[i].append(verdict)
        return [one[0] if len(one) == 1 else PointVerdict.mean(one) for one in found]  # type: ignore[arg-type]

    def _heard(self, form: Form, shown: Sequence[str], answer: Written) -> PairVerdict | PointVerdict:
        """The verdict of a decoded answer."""
        if isinstance(answer, Unwritten):
            said = unparsed(answer.reason)
        else:
            said = form.read(answer.text, None if answer.ended else self.max_new_tokens, shown)
        listed = None if said.dimensions is None else list(said.dimensions)
        if form.scale is None:
            return PairVerdict(said.outcome, None, None, None, answer.text, said.reason, listed)  # type: ignore[arg-type]
        if listed is None and form.expected.dimensions:
            listed = [{"name": name, "score": None} for name in form.expected.dimensions]
        return PointVerdict(said.outcome, said.score, None, answer.text, said.reason, listed)  # type: ignore[arg-type]

    def _verdict(self, form: Form, reading: Reading) -> PairVerdict | PointVerdict:
        """The verdict that the probabilities of a closed set of answers give."""
        chances = dict(zip(form.answers.values(), reading.probabilities, strict=True))
        reason = None
        if isinstance(reading, Unread):
            reason = reading.reason
        elif not all(map(math.isfinite, (*reading.probabilities, reading.mass))):
            reason = "the judge's logits are not numbers"
        elif reading.mass < self.min_mass:
            reason = f"the possible answers hold only {reading.mass:.3f} of the probability"
        elif abs(sum(reading.probabilities) - 1) > _ROUNDING:
            reason = f"the probabilities of the possible answers add up to {sum(reading.probabilities):.3f}"
        if form.scale is not None:
            score = None if reason else sum(float(value) * p for value, p in chances.items())
            listed = [{"name": name, "score": score} for name in form.expected.dimensions] or None
            if reason:
                return PointVerdict("unparsed", reason=reason, dimensions=listed)
            return PointVerdict("score", score, [chances[value] for value in form.scale.values], dimensions=listed)
        if reason:
            return PairVerdict("unparsed", reason=reason)
        best = [meaning for meaning, p in chances.items() if p == max(chances.values())]
        outcome = best[0] if len(best) == 1 else "tie"  # equal chances, common in half precision, are no preference
        return PairVerdict(outcome, chances["first"], chances["second"], chances.get("tie", 0.0))  # type: ignore[arg-type]

    def sit(self, row: dict[str, Any]) -> Sitting:
        """The candidates of a `schema.CANDIDATE_SET` row, ready to be asked about in rounds."""
        return Sitting(row, self.protocol, self.ask, self.sampling)

    def sit_out(self, row: dict[str, Any], reason: str) -> Sitting:
        """As `sit`, but nothing is decoded or shown, and every question stays unanswered for this reason."""
        hidden = [{**candidate, "media": None, "text": None, "error": reason} for candidate in row["candidates"]]

        def unanswered(items: Sequence[Item]) -> list[PairVerdict | PointVerdict]:
            return [(PairVerdict if item.kind == "pair" else PointVerdict)("unparsed", reason=reason) for item in items]

        return Sitting(row | {"context": None, "candidates": hidden}, self.protocol, unanswered, self.sampling)

    def judge_set(self, row: dict[str, Any], pairs: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """The verdict columns of a `schema.JUDGED_SET` row, all asked at once.

        row: a `schema.CANDIDATE_SET` row. pairs: candidate indices in the order to be shown; repeat a pair swapped to
        ask both orders. Every candidate is also scored as a point, if the protocol scores points of this task; a judge
        that compares alone gives no point verdicts and no scale.
        """
        sitting = self.sit(row)
        sitting.ask(pairs, sitting.indices)
        return sitting.columns()

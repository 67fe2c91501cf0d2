"""Puts the items of a benchmark to a judge."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from urm_ray.chat import Seen
from urm_ray.clips import decode_media
from urm_ray.evaluation.calls import OVERALL
from urm_ray.judge.form import Form
from urm_ray.judge.item import Item
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.judge.template import ProtocolError
from urm_ray.judge.verdict import PairVerdict, PointVerdict
from urm_ray.media import MediaError
from urm_ray.reward_benchmarks.comparison import Candidate, Comparison, Interleaved
from urm_ray.reward_benchmarks.interleaved import InterleavedItem, Parts, names_of
from urm_ray.sources.draft import File, Media
from urm_ray.sources.fields import FieldError
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.registry import Rejected


class AskBenchmark:
    """Asks about each pair in both orders, and about its candidates alone in some dimensions.

    places: folders in which files are looked for. dimensions: for a dimension of the labels the names that judges may
    have for it; candidates are asked about by the first where the protocol takes any, else it is looked for among those
    that the judge scores anyway. `OVERALL` is the protocol's own question. Nothing is asked where there are none.
    """

    def __init__(
        self,
        scorer: JudgeScorer,
        media: MediaFolder,
        places: Sequence[str] = ("",),
        dimensions: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.scorer, self.media, self.places, self.dimensions = scorer, media, places, dimensions or {}

    def __call__(
        self, items: Iterable[Comparison | Rejected], unable: Mapping[str, str] | None = None
    ) -> tuple[list[dict[str, Any]], list[Rejected]]:
        """(`schema.PREDICTION` rows, records put aside), both in order.

        unable: reasons by item for which the judge is not asked; those items count as items whose answers cannot be
        read. Pictures and clips are decoded once, and scored once, however many items have them; all are in memory
        together.
        """
        unable = unable or {}
        rows: list[dict[str, Any]] = []
        aside: list[Rejected] = []
        questions: list[tuple[dict[str, Any], Comparison, Item]] = []
        self._known: dict[Media, Seen | FieldError] = {}
        for item in items:
            if isinstance(item, Rejected):
                aside.append(item)
                continue
            if reason := unable.get(item.item_id):
                rows.append(item.facts | self._unanswered(item, reason) | {"skipped": None})
                continue
            try:
                question = self._question(item)
            except FieldError as error:
                aside.append(Rejected(item.item_id, error.reason, error.detail))
                continue
            row = item.facts | {"pair_verdicts": [], "point_verdicts": [], "skipped": None}
            rows.append(row)
            if isinstance(question, str):
                row["skipped"] = question
            else:
                questions.append((row, item, question))
        if questions:
            self._ask(questions)
        return rows, aside

    def _unanswered(self, item: Comparison, reason: str) -> dict[str, Any]:
        """The verdicts of an item that the judge is not asked about."""
        point = PointVerdict("unparsed", reason=reason)
        scored = product((0, 1), self._forms(item))
        return {
            "pair_verdicts": [PairVerdict("unparsed", reason=reason).row(i, 1 - i) for i in (0, 1)],
            "point_verdicts": [point.row(index) | {"dimension": dimension} for index, (dimension, *_) in scored],
        }

    def _question(self, item: Comparison) -> Item | str:
        """The question with the first candidate first, or why the protocol has none."""
        context = tuple(self._seen(media) for media in item.context)
        candidates = [self._parts(candidate) for candidate in item.candidates]
        try:
            form = self.scorer.protocol.form(item.task, "pair")
            if any(isinstance(candidate, Interleaved) for candidate in item.candidates):
                answers = dict(zip(names_of(item.item_id), candidates, strict=True))
                asked: Item = InterleavedItem(item.task, "pair", item.prompt, tuple(answers), context, form, answers)
            else:
                shown = tuple(part for parts in candidates for part in parts)
                asked = Item(item.task, "pair", item.prompt, shown, context, form)
            asked.question(form)  # all there is can be shown, so what is wrong now is the form
        except (ProtocolError, MediaError) as error:
            return str(error)
        return asked

    def _parts(self, candidate: Candidate) -> Parts:
        parts = candidate.parts if isinstance(candidate, Interleaved) else (candidate,)
        return tuple(part if isinstance(part, str) else self._seen(part) for part in parts)

    def _seen(self, media: Media) -> Seen:
        """The decoded picture or clip; FieldError, each time, where there is none."""
        if media not in self._known:
            try:
                self._known[media] = decode_media(self._read(media), self.scorer.sampling)
            except MediaError as error:
                self._known[media] = FieldError(f"undecodable {media.kind}", str(error))
            except FieldError as error:
                self._known[media] = error
        found = self._known[media]
        if isinstance(found, FieldError):
            raise found
        return found

    def _read(self, media: Media) -> dict[str, Any]:
        if not isinstance(media, File):
            return self.media.read(media)
        for place in self.places:
            try:
                return self.media.read(File(posixpath.join(place, media.path), media.kind))
            except FieldError as error:
                missing = error
                if not error.reason.startswith("missing"):
                    break
        raise missing

    def _ask(self, questions: Sequence[tuple[dict[str, Any], Comparison, Item]]) -> None:
        """Fills the verdicts of the rows in."""
        pairs = [turned for _, _, item in questions for turned in (item, item.swapped())]
        points: dict[Any, Item] = {}
        wanted = []
        for row, item, question in questions:
            for index, (dimension, form, name) in product((0, 1), self._forms(item)):
                key = item.prompt, item.context, item.candidates[index], form.dimension
                shown = (question.candidates[index],)
                points.setdefault(key, Item(item.task, "point", item.prompt, shown, question.context, form))
                wanted.append((row, key, index, dimension, name))
        verdicts = self.scorer.ask([*pairs, *points.values()])
        for number, (row, _, _) in enumerate(questions):
            both = verdicts[2 * number : 2 * number + 2]
            row["pair_verdicts"] = [v.row(i, 1 - i) for i, v in enumerate(both) if isinstance(v, PairVerdict)]
        scored = dict(zip(points, verdicts[len(pairs) :], strict=True))
        for row, key, index, dimension, name in wanted:
            if isinstance(verdict := scored[key], PointVerdict):
                row["point_verdicts"].append(_about(verdict, name).row(index) | {"dimension": dimension})

    def _forms(self, item: Comparison) -> list[tuple[str, Form, str | None]]:
        """(dimension, form, name) of each dimension in which candidates can be scored alone. name: that of the
        dimension among those that the form's answer scores; None where the score is what is wanted."""
        if any(isinstance(candidate, Interleaved) for candidate in item.candidates):
            return []
        points = self.scorer.protocol.points.get(item.task)
        if points is None:
            return []
        own = self.scorer.protocol.form(item.task, "point")
        listed = {name.lower(): name for form in own.asked for name in form.expected.dimensions}
        found: list[tuple[str, Form, str | None]] = []
        for dimension, names in self.dimensions.items():
            known = [listed[name] for name in names if name in listed]
            if dimension not in item.labels:
                continue
            if dimension == OVERALL:
                found.append((dimension, own, None))
            elif points.free:
                found.append((dimension, points.form(None, names[0]), None))
            elif known:
                found.append((dimension, own, known[0]))
        return found


def _about(verdict: PointVerdict, name: str | None) -> PointVerdict:
    """The verdict on one of the dimensions that it has."""
    if name is None:
        return verdict
    score = next((one["score"] for one in verdict.dimensions or () if one["name"] == name), None)
    reason = verdict.reason or f"{name} has no score"
    return PointVerdict("score", score) if score is not None else PointVerdict("unparsed", reason=reason)

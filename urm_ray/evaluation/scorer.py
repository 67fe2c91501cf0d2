"""Independent scorers: whatever can rate what a policy makes and is not the judge that built its pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from urm_ray.clips import Clip, Sampling, decode_media
from urm_ray.config_policy import EvaluateConfig
from urm_ray.config_training import Task
from urm_ray.media import MediaError
from urm_ray.sources.registry import SourceError, load_object

EVERY_FRAME = Sampling()
_JUDGE = "urm_ray.judge"


class Scorer(Protocol):
    """`figures` rates one candidate for one prompt: names to values, None where a figure does not apply.

    The candidate is a picture, a clip as its frames in order, or the text of an answer. `context`, the pictures and
    clips that the prompt is about, is given only where there are any, so that a scorer of generation need not take it.
    """

    def figures(self, prompt: str, candidate: Any, context: Sequence[Any] = ()) -> dict[str, float | None]: ...


def load_scorer(name: str, model: str = "") -> Scorer:
    """A scorer by `module:Class`, made with its model if it has one. SourceError if there is none, or if it is the
    judge or asks it.

    Without a second, independent opinion nobody would see that a policy has only learned to please its judge.
    """
    if not name:
        raise SourceError("evaluate.scorer is missing: name a scorer that is independent of the judge, as module:Class")
    kind = load_object(name)
    scorer = None if _of_the_judge(kind) else kind(model) if model else kind()
    if scorer is None or any(_of_the_judge(type(part)) for part in (scorer, *getattr(scorer, "__dict__", {}).values())):
        raise SourceError(
            f"evaluate.scorer: {name} is the judge itself, or asks it; name a scorer that has no part in it, "
            "or reward hacking would go unseen"
        )
    if not callable(getattr(scorer, "figures", None)):
        raise SourceError(f"evaluate.scorer: {name} has no figures(prompt, candidate, context)")
    return scorer


def need_scorers(evaluations: Mapping[Task, EvaluateConfig], judge: str = "") -> None:
    """SourceError for the first task whose evaluation could not have an independent scorer. judge: its path, if it is
    no judge that the run trains."""
    for task, settings in evaluations.items():
        try:
            load_scorer(settings.scorer, settings.scorer_model)
            if judge and settings.scorer_model == judge:
                raise SourceError(f"evaluate.scorer_model: {judge} is the judge itself")
        except (SourceError, TypeError) as error:
            raise SourceError(f"policies.{task}.{error}") from None


def _of_the_judge(kind: Any) -> bool:
    return any(base.__module__.startswith(_JUDGE) for base in getattr(kind, "__mro__", (type(kind), kind)))


def figures_of(scorer: Scorer, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of every candidate of a `schema.CANDIDATE_SET` row. What cannot be shown has none, and one that is
    not a number is none."""
    found = []
    for candidate in row["candidates"]:
        text = candidate["text"] if candidate["media"] is None else None
        try:
            about = [[_seen(media) for media in row["context"]]] if row["context"] else []
            shown = _seen(candidate["media"]) if text is None else text
        except MediaError:
            continue
        figures = scorer.figures(row["prompt"], shown, *about)
        index = candidate["index"]
        known = {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}
        found += [{"index": index, "name": name, "value": value} for name, value in known.items()]
    return found


def _seen(media: dict[str, Any] | None) -> Any:
    seen = decode_media(media, EVERY_FRAME)
    return seen.frames if isinstance(seen, Clip) else seen

"""Figures that experiments read off finished stages. Intervals resample prompts, which are what is independent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from urm_ray import store
from urm_ray.config import Config
from urm_ray.evaluation.metrics import Figure, mean, ratio, share
from urm_ray.evaluation.policy import by_prompt
from urm_ray.evaluation.scorer import Scorer, figures_of, load_scorer
from urm_ray.experiments.variants import Variant, subject
from urm_ray.judge.equal import EQUAL
from urm_ray.pairs.ranking import compare

Values = Mapping[Any, float]
"""The scorer's headline figure by (seed, prompt id), a mean over the candidates of the prompt."""


def before(variants: Sequence[Variant]) -> Values:
    """Of the policies that the variants start from."""
    return _values(variants, "baseline", "before")


def after(variants: Sequence[Variant]) -> Values:
    """Of the policies that the variants end with."""
    return _values(variants, "evaluate", "after")


def _values(variants: Sequence[Variant], stage: str, part: str) -> Values:
    found: dict[Any, float] = {}
    for variant in variants:
        rows = variant.finished(stage).rows(part, ["prompt_id", "figures"]).to_pylist()
        values = by_prompt(rows, variant.policy.evaluate.headline)
        found |= {(variant.config.run.seed, prompt): value for prompt, value in values.items()}
    return found


def level(base: Config, values: Values) -> Figure:
    """The mean over prompts."""
    return mean([values[key] for key in sorted(values)], base.run.seed, _resamples(base))


def gap(base: Config, new: Values, old: Values) -> Figure:
    """The mean over prompts of what is new less what was, of the prompts that have both."""
    shared = sorted(new.keys() & old.keys())
    return mean([new[key] - old[key] for key in shared], base.run.seed, _resamples(base))


def shown_first(base: Config, variants: Sequence[Variant]) -> Figure:
    """Share of verdicts for the candidate shown first, of those for either; one half is no position bias.

    variants: of different seeds. It counts the verdicts that their sifting goes by.
    """
    counts = []
    for variant in variants:
        for verdicts in _verdicts(variant):
            read = [v for v in verdicts if variant.config.pairs.orders == "asked" or v["first"] < v["second"]]
            outcomes = [v["outcome"] for v in read]
            counts.append((outcomes.count("first"), outcomes.count("first") + outcomes.count("second")))
    return ratio(counts, base.run.seed, _resamples(base))


def flips(base: Config, variants: Sequence[Variant]) -> Figure:
    """Share of pairs whose verdict changed with the order, of those that were answered in both."""
    counts = []
    for variant in variants:
        for verdicts in _verdicts(variant):
            groups: dict[frozenset[int], list[dict[str, Any]]] = {}
            for verdict in verdicts:
                groups.setdefault(frozenset((verdict["first"], verdict["second"])), []).append(verdict)
            results = [compare(group).result for group in groups.values() if len(group) == 2]
            answered = sum(result in ("win", "tie", "order_disagreement") for result in results)
            counts.append((results.count("order_disagreement"), answered))
    return ratio(counts, base.run.seed, _resamples(base))


def _verdicts(variant: Variant) -> Iterable[list[dict[str, Any]]]:
    """Of each prompt what the judge said to its pairs; of equal candidates it was never asked."""
    judged = variant.finished("generate").rows("judged", ["pair_verdicts"])
    for verdicts in judged["pair_verdicts"].to_pylist():
        yield [v for v in verdicts if v["reason"] != EQUAL]


def kept(variants: Sequence[Variant]) -> Figure:
    """Share of prompts that gave a pair."""
    counts = [variant.finished("pairs").manifest()["audit"] for variant in variants]
    return share(sum(c["kept"] for c in counts), sum(c["prompts"] for c in counts))


def fewest(variants: Sequence[Variant]) -> Figure:
    """The number of pairs of the variant that has the fewest; a count, and so without an interval."""
    counts = [variant.finished("pairs").manifest()["audit"]["kept"] for variant in variants]
    return {"value": min(counts), "ci95": [None, None], "n": len(counts)}


def chosen_better(variants: Sequence[Variant]) -> Figure:
    """Share of kept pairs whose chosen candidate has the better headline figure, of those where the figures differ."""
    found = []
    for variant in variants:
        scorer = load_scorer(variant.policy.evaluate.scorer, variant.policy.evaluate.scorer_model)
        for file in variant.finished("pairs").units("sifted"):
            rows = store.read_table(file, ["dropped", "prompt", "context", "chosen", "rejected"]).to_pylist()
            found += [_lead(scorer, row, variant.policy.evaluate.headline) for row in rows if row["dropped"] is None]
    return share(sum(lead > 0 for lead in found), sum(lead != 0 for lead in found))


def _lead(scorer: Scorer, row: dict[str, Any], headline: str) -> float:
    """Headline figure of chosen less that of rejected; 0 where one of them has none."""
    pair = [row["chosen"], row["rejected"]]
    figures = figures_of(scorer, row | {"candidates": pair})
    rated = {f["index"]: f["value"] for f in figures if f["name"] == headline}
    chosen, rejected = (rated.get(candidate["index"]) for candidate in pair)
    return 0.0 if chosen is None or rejected is None else chosen - rejected


def _resamples(base: Config) -> int:
    return base.policy(subject(base)).evaluate.resamples

"""Experiment 4: the aligned policy makes candidates again, for the same judge, and is aligned again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from urm_ray.config import Config
from urm_ray.experiments.measures import after, before, chosen_better, fewest, gap, level
from urm_ray.experiments.variants import TO_ALIGN, Experiment, Finding, Variant, aligned, derived
from urm_ray.report.wording import words

SECOND = "second-round"


def variants(base: Config) -> Iterator[Variant]:
    first = aligned(base, base.run.seed)
    yield first
    stage = first.run.stage("dpo", first.task)
    model = stage.path("model")
    yield Variant(SECOND, derived(first.config, {f"policies.{first.task}.path": model}), TO_ALIGN, first.task)


def findings(base: Config, done: Mapping[str, Variant]) -> list[Finding]:
    second = done[SECOND]
    first = next(v for v in done.values() if v is not second)
    zero, one, two = before([first]), after([first]), after([second])
    headline = words(first.policy.evaluate.headline)
    found = [Finding("before", headline, level(base, zero))]
    for row, variant, new, old in (("first round", first, one, zero), ("second round", second, two, one)):
        found += [
            Finding(row, headline, level(base, new)),
            Finding(row, "gain over before", gap(base, new, zero), signed=True),
            Finding(row, "gain over the round before", gap(base, new, old), signed=True),
            Finding(row, "pairs", fewest([variant])),
            Finding(row, "chosen is better", chosen_better([variant])),
        ]
    return found


ROUNDS = Experiment(
    4,
    "A second round",
    variants,
    findings,
    "The independent scorer's headline figure on the same held-out prompts and seeds. Both rounds have the same judge, "
    "prompts to train on, steps and limit of pairs.",
    {"first round": "one round is all there is", "second round": "not done"},
)

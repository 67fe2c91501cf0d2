"""Experiment 3: verdicts of one order, as published, against those of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from urm_ray.config import Config
from urm_ray.experiments.measures import after, before, chosen_better, fewest, flips, gap, kept, shown_first
from urm_ray.experiments.variants import TO_SIFT, Experiment, Finding, Variant, aligned, derived, seeds

ROWS = {"asked": "both orders", "first": "one order"}
"""Rows by `pairs.orders`."""


def variants(base: Config) -> Iterator[Variant]:
    """Aligned with equal numbers of pairs, and sifted without a limit to see how many there are."""
    for seed in seeds(base):
        for orders in ROWS:
            own = aligned(base, seed, orders=orders)
            yield own
            yield replace(
                own, name=f"{own.name}-all-pairs", config=derived(own.config, {"pairs.keep": None}), stages=TO_SIFT
            )


def findings(base: Config, done: Mapping[str, Variant]) -> list[Finding]:
    of = {o: [v for v in done.values() if v.config.pairs.orders == o] for o in ROWS}
    every = {o: [v for v in own if v.stages == TO_SIFT] for o, own in of.items()}
    limited = {o: [v for v in own if v.stages != TO_SIFT] for o, own in of.items()}
    found = []
    for orders, row in ROWS.items():
        own = limited[orders]
        found.append(Finding(row, "verdicts for the first shown", shown_first(base, every[orders])))
        if orders == "asked":
            found.append(Finding(row, "pairs that flip", flips(base, every[orders])))
        found += [
            Finding(row, "prompts kept", kept(every[orders])),
            Finding(row, "chosen is better", chosen_better(every[orders])),
            Finding(row, "pairs trained on", fewest(own)),
            Finding(row, "gain, all seeds", gap(base, after(own), before(own)), signed=True),
        ]
        if orders == "asked":
            less = gap(base, after(own), after(limited["first"]))
            found.append(Finding(row, "less one order", less, signed=True))
    return found


ORDERS = Experiment(
    3,
    "One order against both",
    variants,
    findings,
    "Verdicts for the first shown are of those for either, pairs that flip of those answered in both orders; their "
    "intervals resample prompts. What is kept and how good it is counts all pairs; policies are aligned with a set "
    "number of them.",
    {"one order": "asks one order and does not measure its bias", "both orders": "not done"},
)

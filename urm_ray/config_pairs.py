"""Settings of what is asked about candidates and of how pairs are made of the verdicts; `config.py` puts them together.

Importable without torch or Ray.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from urm_ray.config_training import Section

BY_RANK = ("pair_point", "pair", "bradley_terry")
"""Constructions that go by the pairs that were compared."""
BY_SCORE = ("pair_point", "point", "best_of")
"""Constructions that go by point scores, and so drop what has no margin."""


class PairsConfig(Section):
    """What the judge is asked about candidates, and how its verdicts become preference pairs (paper III-C)."""

    ranking: Literal["adjacent", "all", "swiss", "none"] = "adjacent"
    """Which of N candidates are compared (`urm_ray.pairs.pairing`).
    adjacent: (0, 1), (2, 3), ... as published, N / 2 pairs.
    all: each with each, N (N - 1) / 2 pairs.
    swiss: log2 N rounds of N / 2 pairs, the first as in `adjacent`; then each meets one of like standing that it has
    not met. What a round asks hangs on the verdicts of those before, and what its questions share is read anew.
    none: nothing; of `point`, `best_of` and `random`."""
    both_orders: bool = True
    """Asks about each pair in both orders, or with the lower index shown first alone, as published."""
    points: bool = True
    """Asks for a point score of every candidate, if the judge gives any. Of constructions `pair` and `bradley_terry`
    nothing is lost without them but margins, of `random` nothing but what is known of the judge."""
    calls: int | None = Field(None, ge=1)
    """At most this many questions to the judge about a prompt, points among them; a pair takes one for each order, and
    equal candidates, or those that cannot be shown, take none. What is left out is the same in every run
    (`urm_ray.pairs.asking`): pairs are asked in the order of the ranking, each with the points of its two, until one
    does not fit; what is left then goes to points of the others, by index. Of `all`, pairs come in rounds in which each
    candidate is compared once. None asks everything."""
    orders: Literal["asked", "first"] = "asked"
    """Goes by the verdicts of every order asked, or by those with the lower index shown first alone."""
    ties: Literal["drop", "point", "first"] = "drop"
    """A tie, or two orders that disagree: drop the pair, or let the point scores decide it. first: a tie falls to the
    candidate shown first, as in the published scripts; where verdicts of one order alone are gone by."""
    construction: Literal["pair_point", "pair", "bradley_terry", "point", "best_of", "random"] = "pair_point"
    """How a prompt's candidates become one pair (paper, Table XII).
    pair_point: the best point score among the winners of the ranked pairs against the worst among their losers.
    pair: one of the ranked pairs that has a winner, drawn by ids; point scores have no say but through `ties`.
    bradley_terry: the greatest strength against the least, as fitted to all ranked pairs (`urm_ray.pairs.strengths`);
    ties and orders that disagree are shares of a win, whatever `ties` says.
    point: the best point score of all candidates against the worst, whatever ranking says.
    best_of: the best point score against another candidate that has one, drawn by ids; best of N.
    random: two candidates that differ, drawn by ids, whatever the judge says."""
    min_margin: float = Field(0.0, ge=0)
    """Keep a prompt only if chosen score - rejected score is greater than this; of `pair_point`, `point` and
    `best_of`."""
    keep: int | None = Field(None, ge=1)
    """At most this many pairs, those that come first by a hash of the prompt's id; None keeps all."""

    @model_validator(mode="after")
    def _asks_what_it_goes_by(self) -> PairsConfig:
        if self.construction in BY_RANK and self.ranking == "none":
            raise ValueError(f"construction: {self.construction} goes by compared pairs, and ranking is none")
        if self.construction in BY_SCORE and not self.points:
            raise ValueError(f"construction: {self.construction} goes by point scores, and points is false")
        if self.ties == "point" and not self.points:
            raise ValueError("ties: point goes by point scores, and points is false")
        if self.ties == "first" and self.compares_orders:
            raise ValueError("ties: first goes by one order: set both_orders to false, or orders to first")
        if few := self.too_few_calls():
            raise ValueError(few)
        return self

    @property
    def compares_orders(self) -> bool:
        """Whether the verdicts of two orders are held against each other."""
        return self.both_orders and self.orders == "asked"

    @property
    def asks(self) -> bool:
        """Whether the judge is asked anything."""
        return self.points or self.ranking != "none"

    def too_few_calls(self, pair: int = 1, point: int = 1) -> str | None:
        """The sentence on `calls` that does not even buy one pair, if so. pair, point: questions a verdict takes."""
        least = pair * (1 + self.both_orders) * (self.ranking != "none") + 2 * point * self.points
        if self.calls is None or self.calls >= least:
            return None
        return f"calls: {self.calls} buys no pair: one takes {least} questions, points among them"

    @property
    def unused(self) -> set[str]:
        """Settings that came when runs were there already, while they say what was always done: no digest covers them
        then, so that what such a run has done stays done."""
        return {name for name, value in (("points", True), ("calls", None)) if getattr(self, name) == value}

    def asked(self) -> dict[str, Any]:
        """The settings that the judge's questions depend on; the others only say how its verdicts are read."""
        return self.model_dump(include={"ranking", "both_orders", "points", "calls"} - self.unused)


PUBLISHED: dict[str, dict[str, Any]] = {
    "judge": {"readout": "generate"},
    "pairs": {
        "ranking": "adjacent",
        "both_orders": False,
        "points": True,
        "calls": None,
        "ties": "first",
        "construction": "pair_point",
        "min_margin": 0.0,
    },
}
"""What `paper_exact` stands for, by section."""


def as_published(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a configuration with those of PUBLISHED where they say nothing; ValueError where they say
    otherwise."""
    filled = dict(values)
    for name, wanted in PUBLISHED.items():
        section = values.get(name, {})
        given = section.model_dump(exclude_unset=True) if isinstance(section, Section) else section
        if not isinstance(given, dict):
            continue  # which is refused where sections are read
        for key, value in wanted.items():
            if key in given and given[key] != value:
                raise ValueError(f"paper_exact: the published procedure has {name}.{key} {_said(value)}: leave it out")
        filled[name] = wanted | given
    return filled


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)

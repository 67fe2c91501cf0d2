"""Counts that tell whether a set of pairs can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from urm_ray.pairs.sifting import DROP_REASONS
from urm_ray.store import StoreError

ENOUGH_PROMPTS = 8
"""Prompts with scores below which equal scores may still be chance."""
BLUR = 1e-5
"""Share of the scale within which two scores are equal: arithmetic, not judgement, tells them apart."""


def audit(rows: Iterable[dict[str, Any]], both_orders: bool) -> dict[str, Any]:
    """Totals over the pair columns of `schema.SIFTED_SET` rows. both_orders: `PairsConfig.compares_orders`.

    `orders_agreed` of `pairs_asked` pairs had the same verdict in both orders; `first_preferred` of `verdicts` went to
    the candidate shown first (one half, without ties, is no position bias).
    """
    total = Counter(dict.fromkeys(("prompts", "kept", "pairs_asked", "orders_agreed", "first_preferred"), 0))
    dropped: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
    for row in rows:
        total["prompts"] += 1
        total["kept"] += row["dropped"] is None
        for name in ("pairs_asked", "orders_agreed", "first_preferred"):
            total[name] += row[name]
        if row["dropped"] is not None:
            dropped[row["dropped"]] += 1
    verdicts = total["pairs_asked"] * (2 if both_orders else 1)
    return {**total, "verdicts": verdicts, "dropped": dict(dropped)}


def need_spread(rows: Iterable[dict[str, Any]]) -> None:
    """StoreError where a judge tells no candidate from another: every prompt's point scores are all the same.

    Such a judge (an image it does not see, a server that answers 0.2 to everything) makes batches that look healthy.
    rows: `point_verdicts` and `scale` of `schema.JUDGED_SET` rows.
    """
    prompts, seen = 0, set()
    for row in rows:
        scores = [verdict["score"] for verdict in row["point_verdicts"] if verdict["outcome"] == "score"]
        if len(scores) < 2:
            continue
        width = row["scale"]["maximum"] - row["scale"]["minimum"]
        if max(scores) - min(scores) > BLUR * width:
            return
        prompts += 1
        seen.add(round(scores[0], 3))
    if prompts >= ENOUGH_PROMPTS:
        given = f"always {seen.pop()}" if len(seen) == 1 else "another for each prompt, but never for its candidates"
        raise StoreError(
            f"the judge gives all candidates of a prompt the same score ({prompts} prompts; {given}): see its accuracy "
            "in the judge stage's manifest; train it for longer or with a higher lr, or check what it is shown"
        )

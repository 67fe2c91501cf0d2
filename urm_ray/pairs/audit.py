"""Counts that tell whether a set of pairs can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from urm_ray.pairs.sifting import DROP_REASONS


def audit(rows: Iterable[dict[str, Any]], both_orders: bool) -> dict[str, Any]:
    """Totals over the pair columns of `schema.SIFTED_SET` rows.

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

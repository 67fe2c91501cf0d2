"""How the candidates of a prompt came out, as lines for a table."""

from __future__ import annotations

from typing import Any

from urm_ray.pairs.ranking import by_pair, compare

STANDINGS = ("prompt_id", "prompt", "candidate", "name", "score", "wins", "ties", "losses", "place", "error")
STANDINGS_FROM = [
    "prompt_id",
    "prompt",
    *(f"candidates.list.element.{name}" for name in ("index", "text", "media.uri", "error")),
    *(f"pair_verdicts.list.element.{name}" for name in ("first", "second", "outcome")),
    *(f"point_verdicts.list.element.{name}" for name in ("index", "score", "reason")),
]
"""What `standings` reads of `schema.JUDGED_SET`, as parquet names it: no picture and no clip."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that spreadsheets compute, in either width."""


def standings(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A `STANDINGS` line for each candidate of a `schema.JUDGED_SET` row, in the order of the candidates.

    wins, ties, losses: of the pairs it was ranked in; a pair whose two orders disagree, or that got no answer, is none
    of the three. place: 1 for the most wins less losses, then the higher score; equal ones share a place, and one that
    was neither ranked nor scored has none. name: the file it came from, or its text.

    Spreadsheets run what begins as a formula does, so a text that does has an apostrophe put before it; numbers and all
    other texts are as they are.
    """
    counts = {c["index"]: {"wins": 0, "ties": 0, "losses": 0} for c in row["candidates"]}
    for verdicts in by_pair(row["pair_verdicts"]):
        found = compare(verdicts)
        if found.result == "tie":
            for index in (verdicts[0]["first"], verdicts[0]["second"]):
                counts[index]["ties"] += 1
        elif found.winner is not None and found.loser is not None:
            counts[found.winner]["wins"] += 1
            counts[found.loser]["losses"] += 1
    points = {v["index"]: v for v in row["point_verdicts"]}
    lines = []
    for candidate in row["candidates"]:
        index, verdict = candidate["index"], points.get(candidate["index"], {})
        lines.append(
            {
                "prompt_id": _said(row["prompt_id"]),
                "prompt": _said(row["prompt"]),
                "candidate": index,
                "name": _said(candidate["text"] or (candidate["media"] or {}).get("uri")),
                "score": verdict.get("score"),
                **counts[index],
                "error": _said(candidate["error"] or verdict.get("reason")),
            }
        )
    keys = [_key(line) for line in lines]
    return [
        line | {"place": None if key is None else 1 + _better(key, keys)} for line, key in zip(lines, keys, strict=True)
    ]


def _said(text: str | None) -> str | None:
    return f"'{text}" if text and text.lstrip(" \n").startswith(_FORMULA) else text


_Key = tuple[int, float]


def _key(line: dict[str, Any]) -> _Key | None:
    ranked = line["wins"] + line["ties"] + line["losses"]
    if line["score"] is None and not ranked:
        return None
    return line["wins"] - line["losses"], float("-inf") if line["score"] is None else line["score"]


def _better(key: _Key, keys: list[_Key | None]) -> int:
    return sum(other is not None and other > key for other in keys)

"""A tiny finished run, written as the stages write it, without Ray and without models."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
from helpers import TASK, of_policy
from PIL import Image

from urm_ray import schema, store
from urm_ray.config_file import build
from urm_ray.evaluation.metrics import share
from urm_ray.media import encode_image
from urm_ray.pairs.audit import audit
from urm_ray.pipeline.run import key
from urm_ray.report.summary import Sources
from urm_ray.store import Stage

SCALE = {"name": "1-5", "minimum": 1, "maximum": 5}
RATING = pa.struct([("index", pa.int32()), ("name", pa.string()), ("value", pa.float32())])
EVALUATED = pa.schema([*schema.JUDGED_SET, ("figures", pa.list_(RATING))])
NO_FIGURE = {"value": None, "ci95": [None, None], "n": 0}
STAGES = ("prepare", "reward", "judge", "generate", "pairs", "dpo", "baseline", "evaluate")


def figure(value: float, low: float, high: float, n: int = 40) -> dict[str, Any]:
    return {"value": value, "ci95": [low, high], "n": n}


def candidate(index: int, name: str, side: int) -> dict[str, Any]:
    """A candidate with a picture of its own, different for every name."""
    colour = tuple(int(schema.digest(name, index)[i : i + 2], 16) for i in (0, 2, 4))
    media = encode_image(Image.new("RGB", (side, side), colour))
    return {"index": index, "seed": index, "media": media, "text": None, "error": None}


def verdict(first: int, second: int, outcome: str, chances: tuple[float | None, ...]) -> dict[str, Any]:
    p_first, p_tie, p_second = chances
    return {
        "first": first,
        "second": second,
        "outcome": outcome,
        "p_first": p_first,
        "p_second": p_second,
        "p_tie": p_tie,
        "text": None,
        "reason": None,
    }


def judged(prompt_id: str, prompt: str, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    points = [
        {"index": c["index"], "outcome": "score", "score": 3.0, "probabilities": None, "text": None, "reason": None}
        for c in candidates
    ]
    return {
        "prompt_id": prompt_id,
        "task": TASK,
        "prompt": prompt,
        "context": [],
        "source": "test",
        "candidates": candidates,
        "sampler_digest": "s",
        "pair_verdicts": [],
        "point_verdicts": points,
        "scale": SCALE,
        "judge_digest": "j",
    }


def sifted(number: int, prompt: str, dropped: str | None, side: int) -> dict[str, Any]:
    """A prompt with two candidates: number 1 won in both orders, unless the row is dropped."""
    row = judged(f"g{number:03d}", prompt, [candidate(i, f"g{number}", side) for i in range(2)])
    row["pair_verdicts"] = [verdict(0, 1, "second", (0.1, 0.2, 0.7)), verdict(1, 0, "first", (0.6, 0.3, 0.1))]
    kept = dropped is None
    return row | {
        "pair_id": f"pair{number}",
        "dropped": dropped,
        "winners": [1],
        "losers": [0],
        "chosen": row["candidates"][1] if kept else None,
        "rejected": row["candidates"][0] if kept else None,
        "chosen_score": 4.0 if kept else None,
        "rejected_score": 4.0 - 0.1 * number if kept else None,
        "margin": 0.1 * number if kept else None,
        "pairs_asked": 1,
        "orders_agreed": 1,
        "first_preferred": 1,
    }


def evaluated(part: str, number: int, prompt: str, values: list[float], side: int) -> dict[str, Any]:
    row = judged(f"h{number:03d}", prompt, [candidate(i, f"{part}{number}", side) for i in range(len(values))])
    return row | {"figures": [{"index": i, "name": "whole", "value": value} for i, value in enumerate(values)]}


def write(stage: Stage, part: str, rows: list[dict[str, Any]], fields: pa.Schema, unit_rows: int) -> None:
    for unit, start in enumerate(range(0, len(rows), unit_rows)):
        table = schema.table_of(rows[start : start + unit_rows], fields)
        store.write_table(stage.path(part, f"unit-{unit:05d}.parquet"), table)


def policy_figures(none: bool = False) -> dict[str, Any]:
    found = {"before": figure(0.4, 0.3, 0.5), "after": figure(0.6, 0.5, 0.7), "gain": figure(0.2, 0.1, 0.3)}
    own = {"before": figure(3.1, 3.0, 3.2), "after": figure(3.6, 3.5, 3.7), "gain": figure(0.5, 0.4, 0.6)}
    if none:
        found = own = dict.fromkeys(found, NO_FIGURE)
    return {**found, "headline": "whole", "all": {"colour": found, "judge_score": own, "whole": found}}


def finished_run(
    folder: Path,
    *,
    settings: dict[str, Any] | None = None,
    prompts: list[str] | None = None,
    unit_rows: int = 4,
    side: int = 8,
    none: bool = False,
    values: list[tuple[float, float]] | None = None,
    kept: int = 9,
    pairs: list[dict[str, Any]] | None = None,
    before: list[dict[str, Any]] | None = None,
) -> Sources:
    """A run with 12 prompts to train on, of which `kept` gave a pair with margin 0.1 * number, and 12 held out.

    values: headline figures before and after of each held-out prompt. pairs, before: rows to use in place of ours.
    """
    chosen: dict[str, Any] = {
        "judge_base": {"path": "pkg:vlm"},
        "report": {"title": "A tiny run", "grid": 5, "pairs": 2},
    } | of_policy(path="pkg:policy", evaluate={"scorer": "pkg.oracle:Oracle"})
    config = build(chosen | (settings or {}))
    names = [key(name, None if name in ("reward", "judge") else TASK) for name in STAGES]
    digests = {name: schema.digest("stage", name) for name in names}
    sources = Sources({n: Stage(f"{folder}/{n}-{digest[:12]}", n, digest) for n, digest in digests.items()}, config)
    stages = {name: sources.stages[named] for name, named in zip(STAGES, names, strict=True)}
    prompts = prompts or [f"prompt {i}" for i in range(12)]
    values = values or [(float(i % 4 in (1, 2)), float(i % 4 != 2)) for i in range(12)]

    rows = pairs or [sifted(i, p, None if i < kept else "tie", side) for i, p in enumerate(prompts)]
    write(stages["pairs"], "sifted", rows, schema.SIFTED_SET, unit_rows)
    old = before or [evaluated("b", i, p, [v[0]], side) for i, (p, v) in enumerate(zip(prompts, values, strict=True))]
    new = [evaluated("a", i, p, [v[1]], side) for i, (p, v) in enumerate(zip(prompts, values, strict=True))]
    write(stages["baseline"], "before", old, EVALUATED, unit_rows)
    write(stages["evaluate"], "after", new, EVALUATED, unit_rows)

    steps = range(1, 6)
    losses = [{"step": s, "loss": 1.0 / s, "mean_token_accuracy": 0.9} for s in steps]
    errors = [{"step": s, "loss": 0.69 - s / 99, "winner_excess": -s / 99, "loser_excess": s / 50} for s in steps]
    store.write_json(stages["reward"].path("history.json"), losses)
    store.write_json(stages["dpo"].path("history.json"), [] if none else errors)

    shares = NO_FIGURE if none else share(30, 40)
    measured = ("pair_accuracy", "pair_accuracy_strict", "tie_accuracy", "order_agreement", "point_spearman")
    figures = {**dict.fromkeys(measured, shares), "unparsed": 1}
    parts = ("train_pairs", "train_points", "heldout_pairs", "heldout_points", "train_prompts", "heldout_prompts")
    stages["prepare"].finish(1.5, rows=dict.fromkeys(parts, 1200), quarantined={"train_pairs": 3})
    stages["reward"].finish(60.0, steps=5, final_loss=0.2)
    stages["judge"].finish(7.0, figures={TASK: {"judge": figures, "base": figures}})
    stages["generate"].finish(19.5, prompts=len(rows))
    stages["pairs"].finish(0.5, audit=audit(rows, config.pairs.compares_orders))
    stages["dpo"].finish(30.0, steps=5, final_loss=0.64)
    stages["baseline"].finish(4.0, prompts=len(old))
    stages["evaluate"].finish(6.0, figures=policy_figures(none))
    return sources


class Page(HTMLParser):
    """A page taken apart: (tag, attributes) in order, its text, and the tags that do not match."""

    VOID = ("img", "meta", "wbr")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.mismatched: list[str] = []
        self.parts: list[str] = []
        self.styles: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mismatched.append(tag)

    def handle_data(self, data: str) -> None:
        (self.styles if "style" in self.open else self.parts).append(data)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

"""What a judge says to preferences, in any engine; as a program, in an interpreter that may have other packages.

    python tests/judge/asked_elsewhere.py JOB.json

A job: {path, rows, judge, out}: the judge's folder, a parquet file of `schema.PREFERENCE` rows, settings of
`JudgeConfig`, and where the answers go as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from urm_ray.config import JudgeConfig
from urm_ray.judge.item import Item
from urm_ray.judge.scorer import JudgeScorer


def answers(path: str, rows: Sequence[dict[str, Any]], judge: dict[str, Any]) -> dict[str, Any]:
    """verdicts: of each row, a pair in its own order and then swapped, as dicts. seconds: of asking them."""
    scorer = JudgeScorer.load(path, JudgeConfig(**judge))
    items = []
    for row in rows:
        item = Item.of(row, scorer.sampling, scorer.protocol.form_of(row))
        items += [item, item.swapped()] if row["kind"] == "pair" else [item]
    started = time.monotonic()
    verdicts = [asdict(verdict) for verdict in scorer.ask(items)]
    return {"verdicts": verdicts, "seconds": time.monotonic() - started}


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    found = answers(job["path"], pq.read_table(job["rows"]).to_pylist(), job["judge"])
    Path(job["out"]).write_text(json.dumps(found))

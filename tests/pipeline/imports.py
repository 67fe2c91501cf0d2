"""Small sources for tests of imports, and a stand-in for the cluster."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sources.native import grey, write
from sources.native_general import write_csv, write_preferences

from urm_ray.pipeline.import_unit import Errand, ImportUnit


def write_labels(folder: Path, count: int = 12) -> None:
    """A csv of `count` pairs and as many points, two rows a prompt. Of every kind the fourth and the seventh row name a
    picture that is not there, and the last row is none at all."""
    for n in range(8):
        write(folder / f"{n}.jpg", grey(n))
    rows: list[dict[str, Any]] = []
    for n in range(count):
        prompt = f"prompt {n // 2}"
        second = "gone.jpg" if n in (4, 7) else f"{1 + n % 7}.jpg"
        rows.append({"id": f"pair {n}", "prompt": prompt, "image_1": "0.jpg", "image_2": second, "label": "first"})
        rows.append({"id": f"point {n}", "prompt": prompt, "image": second, "score": n % 5 + 1, "scale": "1-5"})
    write_csv(folder / "labels.csv", [*rows, {"prompt": "neither"}])


def write_sources(root: Path) -> dict[str, Any]:
    """Two sources, and the settings of a mix of them."""
    write_labels(root / "labels")
    write_preferences(root / "own" / "rows.parquet")
    labels = {"source": "csv", "path": "labels"}
    return {
        "root": str(root),
        "unit_rows": 5,
        "sources": [
            {**labels, "name": "pairs", "kind": "pair", "take": 4, "expected": 4},
            {**labels, "name": "points", "kind": "point", "held_out": 3},
            {"source": "preferences", "path": "own", "expected": 99},
        ],
    }


def on_this_machine(seed: int = 0, stop_after: int | None = None) -> Callable[..., Iterator[int]]:
    """In place of `import_sources.spread`: errands in some order; KeyboardInterrupt after so many."""
    dice, left = random.Random(seed), [stop_after]

    def spread(work: ImportUnit, errands: Sequence[Errand], cpus: float, unit_rows: int) -> Iterator[int]:
        for errand in dice.sample(list(errands), len(errands)):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] = None if left[0] is None else left[0] - 1
            yield work.work(errand)

    return spread


def rows_in(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file of an import by its name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

"""What the driver reads of every unit by itself, where storage answers late: many files together against one by one."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from typing import Any
from unittest.mock import patch

import pyarrow as pa
from rounds import Result, Side, in_turns

from urm_ray import store
from urm_ray.pipeline.units import plan


def benchmark(rounds: int, files: int, rows: int, late: float) -> Result:
    """late: seconds that a file takes to be opened."""
    folder = tempfile.mkdtemp()
    table = pa.table({"prompt_id": [str(n) for n in range(rows)], "scale": [{"minimum": 1, "maximum": 5}] * rows})
    names = [store.join(folder, f"unit-{n:06d}.parquet") for n in range(files)]
    for name in names:
        store.write_table(name, table)
    locate = store.locate

    def slowly(uri: str) -> Any:
        time.sleep(late)
        return locate(uri)

    def both(count: int) -> int:
        with (
            patch.object(store, "locate", slowly),
            patch.object(store, "read_ahead", partial(store.read_ahead, count=count)),
        ):
            units = plan(names, rows)
            read = partial(store.read_leaves, leaves=["prompt_id"])
            assert sum(map(len, store.read_ahead(names, read))) == rows * files
        return len(units)

    return in_turns(
        Side("many at a time", partial(both, 16)),
        Side("one by one", partial(both, 1)),
        rounds,
        "units counted and read",
        target=8,
        seconds_a_file_is_late=late,
        units=files,
    )

"""A judge's training over rows that went bad after they were prepared."""

import math
from pathlib import Path

import pytest
from train.trainings import train_reward

from urm_ray import schema, store
from urm_ray.run_folder import Stage

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("ray_here")]


def test_rows_that_do_not_decode_cost_themselves_alone(stage: Stage, preference_file: str, tmp_path: Path) -> None:
    rows = store.read_table(preference_file).to_pylist()
    broken = [row for row in rows if row["kind"] == "pair"][:4]
    for row in broken:
        row["candidates"][1]["media"]["data"] = b"<html>404</html>"
    file = str(tmp_path / "unit-000000.parquet")
    store.write_table(file, schema.table_of(rows, schema.PREFERENCE))
    # Batches of one row: of a broken one nothing is left, while the other rank has a whole one.
    history = train_reward(stage, file, zero_stage=3, batch=1, steps=24, checkpoint_steps=12)
    assert [entry["step"] for entry in history] == list(range(1, 25))
    assert all(math.isfinite(entry["loss"]) for entry in history)
    found = [row for unit in stage.units("quarantine/examples") for row in store.read_table(unit).to_pylist()]
    assert 0 < len(found) == len({row["row_id"] for row in found})
    assert {row["row_id"] for row in found} <= {row["preference_id"] for row in broken}

from types import SimpleNamespace

import pyarrow as pa
import pytest
from ray.data import DataContext

from urm_ray import store
from urm_ray.pipeline import stream
from urm_ray.pipeline.stream import training_rows

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("ray_here")]


def test_rows_come_in_order_in_every_pass(tmp_path):
    files = [str(tmp_path / f"unit-{n}.parquet") for n in range(3)]
    for n, file in enumerate(files):
        store.write_table(file, pa.table({"row": [2 * n, 2 * n + 1], "other": ["a", "b"]}))
    rows = training_rows(files, ["row"], passes=2).take_all()
    assert rows == [{"row": n} for n in (*range(6), *range(6))]


def test_the_loop_that_feeds_a_training_pauses_and_no_other_loop_does(tmp_path, monkeypatch):
    file, pauses = str(tmp_path / "unit.parquet"), []
    store.write_table(file, pa.table({"row": [1, 2]}))
    monkeypatch.setattr(stream, "time", SimpleNamespace(sleep=pauses.append))
    before = list(DataContext.get_current().custom_execution_callback_classes)
    assert len(training_rows([file], ["row"], passes=1).take_all()) == 2
    assert set(pauses) == {stream.Unhurried.PAUSE}
    assert DataContext.get_current().custom_execution_callback_classes == before

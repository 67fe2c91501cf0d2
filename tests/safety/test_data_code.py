"""Data bring no code: what a data set, a prompt file, a protocol or a configuration could run is never run."""

import json
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import pair_preference
from safety.traps import Trap, objects, write_module
from sources.native import grey, write

from urm_ray import schema
from urm_ray.config_file import ConfigError, load, load_as
from urm_ray.config_mix import Mix
from urm_ray.judge.protocol import ProtocolError, protocol
from urm_ray.sources.parquet import ParquetPreferences
from urm_ray.sources.reader import reader
from urm_ray.sources.records import ParquetRecords
from urm_ray.sources.registry import SourceError

UNKNOWN = {"ARROW:extension:name": "arrow.py_extension_type"}


def test_such_a_column_works_as_a_trap(tmp_path):
    try:
        objects(tmp_path / "sprung").to_pylist()
    finally:
        assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("place", ["alone", "in a list", "in a struct", "in a dictionary of lists"])
def test_columns_of_objects_are_not_read(tmp_path, ran, place):
    column = objects(ran)
    if place.endswith("lists") or place == "in a list":
        column = pa.ListArray.from_arrays([0, 1], column)
    elif place == "in a struct":
        column = pa.StructArray.from_arrays([column], ["a"])
    pq.write_table(pa.table({"prompt": column, "b": ["x"]}), tmp_path / "a.parquet")
    records = ParquetRecords(str(tmp_path), ["prompt"])
    with pytest.raises(SourceError, match=r"a\.parquet is not read: its column prompt holds Python objects"):
        [list(records.read(unit)) for unit in records.units(10)]


def test_a_column_of_objects_that_is_not_asked_for_does_no_harm(tmp_path, ran):
    pq.write_table(pa.table({"prompt": objects(ran), "b": ["x"]}), tmp_path / "a.parquet")
    records = ParquetRecords(str(tmp_path), ["b"])
    assert [row for unit in records.units(10) for _, row in records.read(unit)] == [{"b": "x"}]


@pytest.mark.parametrize("name", ["preference_id", "prompt", "kind", "candidates"])
def test_preferences_with_columns_of_objects_are_not_read(tmp_path, ran, name):
    table = schema.table_of([pair_preference()], schema.PREFERENCE)
    column = table.schema.get_field_index(name)
    pq.write_table(table.set_column(column, name, objects(ran)), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=f"its column {name} holds Python objects"):
        ParquetPreferences(str(tmp_path), 0, "image_generation", {"train_pairs": 1})


def test_types_that_nobody_knows_are_read_as_what_they_are_made_of(tmp_path, ran):
    field = pa.field("b", pa.binary(), metadata=UNKNOWN | {"ARROW:extension:metadata": pickle.dumps(Trap(ran))})
    pq.write_table(pa.table([pa.array([b"x"])], schema=pa.schema([field])), tmp_path / "a.parquet")
    records = ParquetRecords(str(tmp_path), ["b"])
    assert [row for unit in records.units(10) for _, row in records.read(unit)] == [{"b": b"x"}]


def test_a_loading_script_in_a_data_set_is_not_run(tmp_path, ran):
    root = tmp_path / "set"
    for name in ("set.py", "dataset.py", "__init__.py", "sitecustomize.py"):
        write_module(root / name, ran, "Builder")
    write(root / "1.jpg", grey(1))
    write(root / "a.csv", "prompt,image_1,image_2,label\na,1.jpg,2.jpg,first\n")
    found = reader("csv", str(root))
    assert [draft["prompt"] for unit in found.units(10) for draft in found.drafts(unit)] == ["a"]  # type: ignore[index]
    write(root / "dataset_info.json", json.dumps({"one": {"script_url": "set.py"}, "two": {"file_name": "set.py"}}))
    with pytest.raises(SourceError):
        list(reader("llama-factory", str(root)).units(10))


TAGS = ["!!python/object/apply:os.system ['touch RAN']", "!!python/object/new:os.system ['touch RAN']"]
TAGS += ["!!python/name:os.system", "!!python/module:own"]


@pytest.mark.parametrize("tag", TAGS)
def test_yaml_makes_no_objects(tmp_path, ran, tag):
    tag = tag.replace("RAN", str(ran))
    (tmp_path / "a.yaml").write_text(f"run: {tag}\nsources: []\n")
    for model in (None, Mix):
        with pytest.raises(ConfigError, match="is not YAML"):
            load(tmp_path / "a.yaml") if model is None else load_as(model, tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("run: {seed: 1}\n")
    with pytest.raises(ConfigError, match="is not YAML"):
        load(tmp_path / "b.yaml", [f"run.seed={tag}"])
    with pytest.raises(ProtocolError):
        protocol(str(tmp_path / "a.yaml"))

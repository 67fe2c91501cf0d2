import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_server import by_chance

from urm_ray import store
from urm_ray.file_systems import name_of
from urm_ray.pipeline.counts import gathered, noted
from urm_ray.pipeline.units import UNIT, UNIT_ROWS, WriteUnits, done_ids, file_name, fragments, pending, plan, read_unit

SCHEMA = pa.schema([("id", pa.string()), ("value", pa.list_(pa.int32())), ("dropped", pa.string())])
PER_FILE, FILES, UNIT_SIZE = 7, 2, 3


def row(number: int) -> dict:
    # Ids in another order than numbers, as digests are.
    return {
        "id": f"{(number * 7919) % 1000:03d}",
        "value": [number] * (number % 3),
        "dropped": "tie" if number % 4 == 0 else None,
    }


@pytest.fixture(scope="module")
def units(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("input")
    for n in range(FILES):
        rows = [row(i) for i in range(n * PER_FILE, (n + 1) * PER_FILE)]
        store.write_table(str(folder / file_name(n)), pa.Table.from_pylist(rows, SCHEMA))
    return plan(store.list_files(str(folder), ".parquet"), UNIT_SIZE)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, units) -> dict[str, bytes]:
    """What one worker writes that does one whole unit after the other."""
    folder = str(tmp_path_factory.mktemp("expected"))
    for unit in units:
        WriteUnits(folder, "id", SCHEMA)(read_unit(unit))
    return content(folder)


def content(folder: str) -> dict[str, bytes]:
    return {Path(f).name: store.read_bytes(f) for f in store.list_files(folder)}


def test_units_in_a_bucket_are_those_of_a_folder_however_they_are_regrouped_and_whatever_fails(
    objects, units, expected
):
    source, folder = objects.uri("prompts"), objects.uri("run", "stage", "part")
    for file in {unit["file"] for unit in units}:
        store.upload_file(file, store.join(source, name_of(file)))
    there = plan(store.list_files(source, ".parquet"), UNIT_SIZE)
    assert [unit | {"file": ""} for unit in there] == [unit | {"file": ""} for unit in units]
    objects.fault = by_chance(1, 0.1, ("500", "503", "reset", "cut"))
    rows = pa.concat_tables([read_unit(unit) for unit in there])
    writer = WriteUnits(folder, "id", SCHEMA)
    writer(rows.slice(0, 4))
    assert [unit["unit"] for unit in pending(there, folder)] == [1, 2, 3, 4, 5]
    assert done_ids(folder, 1, "id") == {row(3)["id"]}
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(writer, [rows.slice(4, 4), rows.slice(8, 4), rows.slice(12)]))
    for unit in pending(there, folder):
        assert writer.join(unit["unit"], unit["rows"])
    assert {name_of(file): store.read_bytes(file) for file in store.list_files(folder)} == expected
    assert objects.done
    assert not store.tree(store.join(folder, "fragments"))


def test_a_plan_covers_every_row_once_and_no_unit_spans_two_files(units):
    assert [u["unit"] for u in units] == list(range(6))
    assert [(u["start"], u["rows"]) for u in units] == [(0, 3), (3, 3), (6, 1)] * 2
    assert len({u["file"] for u in units[:3]}) == len({u["file"] for u in units[3:]}) == 1
    ids = [i for u in units for i in read_unit(u)["id"].to_pylist()]
    assert ids == [row(n)["id"] for n in range(PER_FILE * FILES)]


@pytest.mark.parametrize("unit_rows", [1, 7, 100])
def test_a_unit_may_be_a_row_or_a_file(units, unit_rows):
    files = sorted({u["file"] for u in units})
    assert sum(u["rows"] for u in plan(files, unit_rows)) == PER_FILE * FILES
    assert len(plan(files, unit_rows)) == {1: 14, 7: 2, 100: 2}[unit_rows]


def test_a_unit_tells_its_rows_where_they_belong(units):
    rows = read_unit(units[2])
    assert rows[UNIT].to_pylist() == [2]
    assert rows[UNIT_ROWS].to_pylist() == [1]
    assert rows.drop_columns([UNIT, UNIT_ROWS]).to_pylist() == [row(6)]


def test_rows_of_a_unit_are_sorted_by_id(expected, tmp_path):
    store.write_bytes(str(tmp_path / "u.parquet"), expected["unit-000000.parquet"])
    ids = store.read_table(str(tmp_path / "u.parquet"))["id"].to_pylist()
    assert ids == sorted(row(n)["id"] for n in range(3))


@given(st.data())
def test_the_files_are_the_same_bytes_however_the_rows_were_grouped_ordered_and_repeated(
    tmp_path_factory, units, expected, data
):
    folder = str(tmp_path_factory.mktemp("out"))
    everything = pa.concat_tables([read_unit(u) for u in units])
    numbers = list(range(len(everything)))
    order = data.draw(st.permutations(numbers))
    order += data.draw(st.lists(st.sampled_from(numbers), max_size=6))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=8)))
    # Now and then the job is killed and another writer goes on.
    for start, stop in zip([0, *cuts], [*cuts, len(order)], strict=True):
        batch = everything.take(pa.array(order[start:stop], pa.int64()))
        reports = WriteUnits(folder, "id", SCHEMA)(batch)
        assert sum(reports["rows"].to_pylist()) == len(batch)
    assert content(folder) == expected
    assert pending(units, folder) == []


def test_a_restart_does_only_what_is_not_done(units, expected, tmp_path):
    # Defects 6 and 7: a resumed run repeated rows, or rewrote its file with the new rows only.
    folder = str(tmp_path)
    write = WriteUnits(folder, "id", SCHEMA)
    write(read_unit(units[0]))
    write(read_unit(units[1]).slice(0, 2))
    assert [u["unit"] for u in pending(units, folder)] == [1, 2, 3, 4, 5]
    assert done_ids(folder, 1, "id") == {row(3)["id"], row(4)["id"]}
    assert done_ids(folder, 2, "id") == set()
    for unit in pending(units, folder):
        rows = read_unit(unit)
        done = done_ids(folder, unit["unit"], "id")
        write(rows.take(pa.array([n for n, i in enumerate(rows["id"].to_pylist()) if i not in done], pa.int64())))
    assert content(folder) == expected
    assert fragments(folder, 1) == []


def test_a_part_of_a_unit_is_not_a_unit(units, tmp_path):
    folder = str(tmp_path)
    write = WriteUnits(folder, "id", SCHEMA)
    part = read_unit(units[0]).slice(0, 2)
    write(part)
    assert write.join(0, 3) is False
    assert content(folder) == {}
    assert len(fragments(folder, 0)) == 1


def test_a_unit_that_was_begun_before_there_was_a_column_is_joined(units, tmp_path):
    folder, rows = str(tmp_path), read_unit(units[0])
    fewer = pa.schema([SCHEMA.field(name) for name in ("id", "value")])
    WriteUnits(folder, "id", fewer)(rows.slice(0, 2))
    WriteUnits(folder, "id", SCHEMA)(rows.slice(2))
    found = store.read_table(f"{folder}/{file_name(0)}")
    assert found.schema.equals(SCHEMA)
    new = rows["id"][2].as_py()
    wanted = {row["id"]: row["dropped"] if row["id"] == new else None for row in rows.to_pylist()}
    assert {row["id"]: row["dropped"] for row in found.to_pylist()} == wanted


def test_a_row_that_comes_twice_does_not_stand_in_for_one_that_is_missing(units, tmp_path):
    folder = str(tmp_path)
    rows = read_unit(units[0])
    WriteUnits(folder, "id", SCHEMA)(rows.take(pa.array([0, 1, 1])))
    assert content(folder) == {}
    WriteUnits(folder, "id", SCHEMA)(rows.slice(2))
    assert sorted(store.read_table(f"{folder}/{file_name(0)}")["id"].to_pylist()) == sorted(rows["id"].to_pylist())


def test_a_batch_of_several_units_is_divided(units, expected, tmp_path):
    batch = pa.concat_tables([read_unit(units[n]) for n in (2, 0, 5)])
    reports = WriteUnits(str(tmp_path), "id", SCHEMA)(batch)
    assert reports.select(["unit", "rows"]).to_pylist() == [{"unit": n, "rows": units[n]["rows"]} for n in (2, 0, 5)]
    assert content(str(tmp_path)) == {file_name(n): expected[file_name(n)] for n in (0, 2, 5)}


def test_what_is_written_is_counted_and_so_is_what_was_noted_on_the_way(units, tmp_path):
    rows = noted(pa.concat_tables([read_unit(units[0]), read_unit(units[1])]), "work", {("actor_seconds", "A"): 0.5})
    reports = WriteUnits(str(tmp_path), "id", SCHEMA)(rows)
    assert [gathered(reports.slice(n, 1))["pairs", ""] for n in range(2)] == [2, 2]
    assert gathered(reports)["actor_seconds", "A"] == 0.5


def test_columns_that_are_not_of_the_schema_are_left_out(units, expected, tmp_path):
    rows = read_unit(units[0]).append_column("scratch", pa.array([1, 2, 3]))
    WriteUnits(str(tmp_path), "id", SCHEMA)(rows)
    assert content(str(tmp_path)) == {file_name(0): expected[file_name(0)]}


def test_writers_at_the_same_time_do_not_disturb_each_other(tmp_path):
    rng = random.Random(0)
    for number in range(25):
        folder = str(tmp_path / str(number))
        rows = pa.Table.from_pylist([row(n) for n in range(8)], SCHEMA)
        rows = rows.append_column(UNIT, pa.array([0] * 8, pa.int64())).append_column(
            UNIT_ROWS, pa.array([8] * 8, pa.int64())
        )
        pieces = [rows.take(pa.array(rng.sample(range(8), 5))) for _ in range(4)] + [rows.slice(0, 4), rows.slice(4)]
        with ThreadPoolExecutor(len(pieces)) as threads:
            list(threads.map(WriteUnits(folder, "id", SCHEMA), pieces))
        writer = WriteUnits(folder, "id", SCHEMA)
        if pending([{"unit": 0}], folder):
            assert writer.join(0, 8)
        assert store.read_table(f"{folder}/{file_name(0)}")["id"].to_pylist() == sorted(row(n)["id"] for n in range(8))

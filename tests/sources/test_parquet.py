import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import NOT_A_PICTURE, SCALE, TASK, pair_preference, point_preference

from urm_ray import schema, store
from urm_ray.media import image_record
from urm_ray.sources.check import check_preference
from urm_ray.sources.parquet import ParquetPreferences
from urm_ray.sources.registry import Rejected, SourceError

PARTS = ("train_pairs", "train_points", "heldout_pairs", "heldout_points")
WANTED = {"train_pairs": 6, "train_points": 4, "heldout_pairs": 3, "heldout_points": 2}
ROWS = [pair_preference(n, prompt=f"prompt {n}") for n in range(12)] + [
    point_preference(n, 1 + n / 2, prompt=f"other {n}") for n in range(8)
]


def write(folder, rows, files: int = 1) -> str:
    for n in range(files):
        store.write_table(str(folder / "data" / f"{n}.parquet"), schema.table_of(rows[n::files], schema.PREFERENCE))
    return str(folder / "data")


def ids(path, part, seed=0, wanted=None) -> list[str]:
    read = ParquetPreferences(path, seed, TASK, wanted or WANTED)
    return [row["preference_id"] for row in read.read(part, 0, read.size(part))]


def test_rows_come_back_as_they_were_written(tmp_path):
    path = write(tmp_path, ROWS, files=3)
    by_id = {row["preference_id"]: row for row in ROWS}
    read = ParquetPreferences(path, 0, TASK, WANTED)
    for part in PARTS:
        rows = list(read.read(part, 0, read.size(part)))
        assert len(rows) == WANTED[part]
        for row in rows:
            assert row == by_id[row["preference_id"]]
            assert part.endswith(row["kind"] + "s")


def test_one_file_is_enough_and_other_columns_do_no_harm(tmp_path):
    table = schema.table_of(ROWS, schema.PREFERENCE).append_column("extra", pa.array(range(len(ROWS))))
    store.write_table(str(tmp_path / "one.parquet"), table)
    assert len(ids(str(tmp_path / "one.parquet"), "train_pairs")) == 6


def test_scores_that_were_written_as_text_become_numbers(tmp_path):
    # Defect 1: scores stayed text, where "10" is less than "9".
    table = schema.table_of([point_preference(n) for n in range(2)], schema.PREFERENCE)
    place = table.schema.get_field_index("score")
    store.write_table(str(tmp_path / "t.parquet"), table.set_column(place, "score", pa.array(["3.5", "4"])))
    read = ParquetPreferences(str(tmp_path / "t.parquet"), 0, TASK, {"train_points": 2})
    assert sorted(row["score"] for row in read.read("train_points", 0, 2)) == [3.5, 4.0]


def test_held_out_rows_are_never_trained_on_and_do_not_move(tmp_path):
    path = write(tmp_path, ROWS)
    for kind in ("pairs", "points"):
        kept = ids(path, f"heldout_{kind}")
        assert not set(kept) & set(ids(path, f"train_{kind}"))
        assert ids(path, f"heldout_{kind}", wanted=WANTED | {f"train_{kind}": 1}) == kept
        assert sorted(ids(write(tmp_path / "again", ROWS[::-1], files=2), f"heldout_{kind}")) == sorted(kept)
    assert ids(path, "heldout_pairs", seed=1) != ids(path, "heldout_pairs", seed=0)


def test_no_prompt_is_both_held_out_and_trained_on(tmp_path):
    # Several judgements of one prompt would otherwise let the judge learn what it is measured on.
    rows = [pair_preference(n, prompt=f"prompt {n % 10}") for n in range(60)]
    rows += [point_preference(n, 3, prompt=f"prompt {n % 10}") for n in range(60)]
    wanted = {"heldout_pairs": 10, "heldout_points": 25, "train_pairs": 60, "train_points": 60}
    read = ParquetPreferences(write(tmp_path, rows), 0, TASK, wanted)
    prompts = {part: {row["prompt"] for row in read.read(part, 0, 99)} for part in PARTS}
    assert (read.size("heldout_pairs"), read.size("heldout_points")) == (10, 25)
    held, trained = (prompts[f"{name}_pairs"] | prompts[f"{name}_points"] for name in ("heldout", "train"))
    assert not held & trained
    assert len(held) == 5
    assert read.size("train_pairs") == read.size("train_points") == 30


def test_fewer_rows_than_wanted_are_all_there_are(tmp_path):
    path = write(tmp_path, ROWS)
    wanted = {"heldout_pairs": 10, "train_pairs": 100}
    assert (len(ids(path, "heldout_pairs", wanted=wanted)), len(ids(path, "train_pairs", wanted=wanted))) == (10, 2)
    assert ParquetPreferences(path, 0, TASK, wanted).size("train_points") == 0


def test_rows_are_read_by_number(tmp_path):
    path = write(tmp_path, ROWS, files=2)
    whole = ids(path, "train_pairs")
    read = ParquetPreferences(path, 0, TASK, WANTED)
    assert [row["preference_id"] for a, b in ((0, 2), (2, 6)) for row in read.read("train_pairs", a, b)] == whole
    assert list(read.read("train_pairs", 6, 9)) == []


def test_a_missing_column_is_named(tmp_path):
    table = schema.table_of(ROWS, schema.PREFERENCE).drop_columns(["label", "scale"])
    store.write_table(str(tmp_path / "t.parquet"), table)
    with pytest.raises(SourceError, match="lacks the columns label, scale"):
        ParquetPreferences(str(tmp_path / "t.parquet"), 0, TASK, WANTED)


@pytest.mark.parametrize("path", [None, "", "/nowhere"])
def test_a_missing_folder_is_named(path):
    with pytest.raises(SourceError, match=r"prepare\.preferences_path: there is no file or folder"):
        ParquetPreferences(path, 0, TASK, WANTED)


def test_a_file_that_is_not_parquet_is_one_sentence(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(SourceError, match="cannot be read as parquet") as caught:
        ParquetPreferences(str(tmp_path / "t.parquet"), 0, TASK, WANTED)
    assert "\n" not in str(caught.value)


def test_a_bad_picture_is_read_and_then_found_by_the_check(tmp_path):
    cut = ROWS[0]["candidates"][1]["media"]
    bad = [NOT_A_PICTURE, image_record(cut["data"][: len(cut["data"]) // 2], 8, 8), None, cut | {"data": None}]
    rows = [
        pair_preference(n, candidates=[ROWS[0]["candidates"][0], {"media": media, "text": None}])
        for n, media in enumerate(bad)
    ]
    path = write(tmp_path, [*rows, pair_preference(9)])
    found = ParquetPreferences(path, 0, TASK, {"train_pairs": 9})
    problems = {row["preference_id"]: check_preference(row) for row in found.read("train_pairs", 0, 9)}
    assert problems.pop("pair9") is None
    assert {p.reason for p in problems.values() if p} == {"undecodable picture"}
    assert all(p is not None and p.detail.startswith("candidate 2: ") for p in problems.values())


def test_the_scale_of_a_score_travels_with_it(tmp_path):
    path = write(tmp_path, [point_preference(0, 87.5, scale=SCALE | {"name": "0-100", "minimum": 0, "maximum": 100})])
    row = next(iter(ParquetPreferences(path, 0, TASK, {"train_points": 1}).read("train_points", 0, 1)))
    assert isinstance(row, dict)
    assert (row["score"], row["scale"]["maximum"]) == (87.5, 100)


def test_only_the_row_groups_that_hold_wanted_rows_are_read_and_each_once(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    for n in range(4):
        rows = [pair_preference(n * 100 + i, prompt=f"prompt {n} {i}") for i in range(100)]
        pq.write_table(schema.table_of(rows, schema.PREFERENCE), folder / f"{n}.parquet", row_group_size=10)
    source = ParquetPreferences(str(folder), 0, TASK, {"train_pairs": 400, "heldout_pairs": 40})
    read: list[int] = []
    iter_batches = pq.ParquetFile.iter_batches

    def counted(file, size, row_groups=None, columns=None):
        read.extend(row_groups or [])
        assert size <= 16 or "candidates" not in columns
        return iter_batches(file, size, row_groups=row_groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    size = source.size("train_pairs")
    assert size == 360
    read.clear()
    found = [
        row["preference_id"] for start in range(0, size, 60) for row in source.read("train_pairs", start, start + 60)
    ]
    assert len(set(found)) == size
    # 40 row groups, and one more wherever a range of 60 rows ends within one.
    assert len(read) <= 40 + 5


def test_rows_are_mixed_within_a_row_group_and_row_groups_among_each_other(tmp_path):
    rows = [pair_preference(n, prompt=f"prompt {n}", source="ab"[n // 50]) for n in range(100)]
    path = tmp_path / "one.parquet"
    pq.write_table(schema.table_of(rows, schema.PREFERENCE), path, row_group_size=10)
    read = list(ParquetPreferences(str(path), 0, TASK, {"train_pairs": 100}).read("train_pairs", 0, 100))
    assert {row["source"] for row in read[:40]} == {"a", "b"}
    numbers = [int(row["preference_id"].removeprefix("pair")) for row in read]
    assert all(len({n // 10 for n in numbers[i : i + 10]}) == 1 for i in range(0, 100, 10))
    assert numbers[:10] != sorted(numbers[:10])


def test_hundreds_of_thousands_of_rows_are_counted_without_their_media_or_prompts(tmp_path):
    count, prompt = 236_000, "a long prompt " * 40
    columns = {
        "preference_id": [f"{n:032x}" for n in range(count)],
        "task": ["video_generation" if n % 4 else TASK for n in range(count)],
        "kind": ["pair" if n % 2 else "point" for n in range(count)],
        "prompt": [f"{prompt}{n // 3}" for n in range(count)],
        "source": ["abc"[n % 3] for n in range(count)],
    }
    nulls = {f.name: pa.nulls(count, f.type) for f in schema.PREFERENCE if f.name not in columns}
    table = pa.table({name: columns.get(name, nulls.get(name)) for name in schema.PREFERENCE.names})
    pq.write_table(table.cast(schema.PREFERENCE), tmp_path / "a.parquet", row_group_size=1000)
    del table, columns, nulls
    source = ParquetPreferences(str(tmp_path), 0, TASK, {"train_points": 50_000, "heldout_points": 1000})
    tracemalloc.start()
    assert source.size("heldout_points") == 1000
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert source.size("train_points") == 50_000
    assert held < 64 << 20  # 59,000 rows of this task; all the prompts would be 130 MB
    row = next(iter(source.read("train_points", 40_000, 40_001)))
    assert isinstance(row, dict)
    assert row["prompt"].startswith(prompt)


def test_names_that_begin_with_an_underscore_are_no_preferences(tmp_path):
    write(tmp_path, ROWS)
    write(tmp_path / "data" / "_held_out", ROWS)
    (tmp_path / "data" / "mix.json").write_text("{}")
    assert len(ids(str(tmp_path / "data"), "train_pairs", wanted={"train_pairs": 99})) == 12


def test_a_row_that_is_not_of_the_schema_costs_itself(tmp_path):
    table = schema.table_of([point_preference(n) for n in range(3)], schema.PREFERENCE)
    place = table.schema.get_field_index("score")
    store.write_table(str(tmp_path / "t.parquet"), table.set_column(place, "score", pa.array(["3.5", "good", "4"])))
    read = list(
        ParquetPreferences(str(tmp_path / "t.parquet"), 0, TASK, {"train_points": 3}).read("train_points", 0, 3)
    )
    assert sorted(row["score"] for row in read if isinstance(row, dict)) == [3.5, 4.0]
    assert [(row.row_id, row.reason) for row in read if isinstance(row, Rejected)] == [("point1", "not of the schema")]

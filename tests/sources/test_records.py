import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.sources import records
from urm_ray.sources.draft import Encoded, File
from urm_ray.sources.records import CsvRecords, JsonRecords, ParquetRecords, encoded
from urm_ray.sources.registry import Rejected, SourceError


def read(source, rows: int = 2) -> dict:
    """Records by key, and reasons in place of those that are none, each part read from its JSON form."""
    found = {}
    for unit in source.units(rows):
        for key, record in source.read(json.loads(json.dumps(unit))):
            assert key not in found
            found[key] = record.reason if isinstance(record, Rejected) else record
    return found


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


JSON = st.dictionaries(st.text('ab"\\[]{},:\nü', max_size=5), st.integers() | st.text(max_size=5), max_size=3)


@given(st.lists(JSON, min_size=1, max_size=9), st.integers(1, 5), st.booleans())
def test_parts_together_are_the_file_whatever_their_size(tmp_path_factory, items, rows, lines):
    folder = tmp_path_factory.mktemp("json")
    content = "\n".join(map(json.dumps, items)) if lines else json.dumps(items, indent=1)
    write(folder / "a.json", content if content != "{\n" else "[]")
    source = JsonRecords(str(folder))
    assert list(read(source, rows).values()) == items
    assert list(read(source, rows)) == [f"a.json:{n}" for n in range(1, len(items) + 1)]
    assert all(unit["number"] % rows == 1 % rows for unit in source.units(rows))


def test_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "b" / "x.jsonl", '{"n": 2}\n')
    write(tmp_path / "a.json", '[{"n": 1}]')
    write(tmp_path / ".cache" / "y.json", '[{"n": 3}]')
    write(tmp_path / "_old" / "y.json", '[{"n": 4}]')
    assert read(JsonRecords(str(tmp_path))) == {"a.json:1": {"n": 1}, "b/x.jsonl:1": {"n": 2}}
    assert read(JsonRecords(str(tmp_path), "**/*.jsonl")) == {"b/x.jsonl:1": {"n": 2}}
    assert read(JsonRecords(str(tmp_path / "b" / "x.jsonl"))) == {"x.jsonl:1": {"n": 2}}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{broken", "not JSON"),
        (b"[1]", "not an object"),
        (b'"text"', "not an object"),
        (b'{"a": "caf\xe9"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', "not UTF-8"),
        (b'{"a": ' + b"[" * 5000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
    ids=range(7),
)
@pytest.mark.parametrize("rows", [1, 2, 9])
def test_a_broken_line_costs_that_line(tmp_path, line, reason, rows):
    path = write(tmp_path / "a.jsonl", b'{"n": 1}\r\n\n' + line + b'\n{"n": 4}')
    assert read(JsonRecords(str(path)), rows) == {"a.jsonl:1": {"n": 1}, "a.jsonl:3": reason, "a.jsonl:4": {"n": 4}}


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_a_broken_item_of_a_list_costs_that_item(tmp_path, rows):
    path = write(tmp_path / "a.json", '[{"n": 1}, {"n": nope}, 3, {"n": [4}, {"n": 5}]')
    assert list(read(JsonRecords(str(path)), rows).values()) == [
        {"n": 1},
        "not JSON",
        "not an object",
        "not JSON",
        {"n": 5},
    ]


@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("tail", [" ", '{"n": ', '{"n": "3"', '{"n": [3}, {"n": 4', '{"n": 3}'])
def test_a_list_that_is_cut_short_loses_its_rest_as_one(tmp_path, rows, tail):
    path = write(tmp_path / "a.json", '[{"n": 1}, {"n": 2}, ' + tail)
    found = read(JsonRecords(str(path)), rows)
    kept = 3 if "," in tail else 2
    assert list(found.values())[:2] == [{"n": 1}, {"n": 2}]
    assert list(found.values())[kept:] == ["the rest of the file is broken"]


def test_half_a_character_alone_is_refused_and_a_pair_of_them_is_one(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"a": "\\ud83d\\ude00"}\n{"a": "\\ude00"}')
    assert list(read(JsonRecords(str(path))).values()) == [{"a": "😀"}, "not UTF-8"]


def test_a_record_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_BYTES", 100)
    path = write(tmp_path / "a.json", json.dumps([{"a": "x"}, {"a": "x" * 200}, {"a": "y"}]))
    assert list(read(JsonRecords(str(path))).values()) == [{"a": "x"}, "record too long", {"a": "y"}]


def test_a_list_inside_an_object(tmp_path):
    path = write(tmp_path / "a.json", '{"version": [1], "pairs": [{"n": 1}, {"n": 2}], "more": {}}')
    assert list(read(JsonRecords(str(path), inside="pairs"), 1).values()) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("content", ["", "<html>", '{\n"a": 1\n}'])
def test_a_file_that_holds_no_records_is_one_sentence(tmp_path, content):
    write(tmp_path / "a.json", content)
    with pytest.raises(SourceError, match=r"a\.json cannot be read: it ") as caught:
        list(JsonRecords(str(tmp_path)).units(3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [JsonRecords, CsvRecords, lambda path: ParquetRecords(path, [])])
def test_a_folder_without_such_files_is_one_sentence(tmp_path, make):
    write(tmp_path / "a.txt", "x")
    with pytest.raises(SourceError, match=r"holds no \*\*/\*\."):
        make(str(tmp_path))
    with pytest.raises(SourceError, match="there is no file or folder"):
        make(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("rows", [1, 3, 4, 99])
def test_rows_of_parquet_files_are_read_by_parts_of_row_groups(tmp_path, rows):
    table = pa.table({"n": range(10), "heavy": [b"x"] * 10, "other": ["y"] * 10})
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "a.parquet", row_group_size=4)
    pq.write_table(table.slice(0, 1), tmp_path / "data" / "b.parquet")
    source = ParquetRecords(str(tmp_path), ["n"], optional=["other", "nowhere"])
    found = read(source, rows)
    assert list(found.values()) == [{"n": n, "other": "y"} for n in [*range(10), 0]]
    assert list(found) == [*(f"data/a.parquet:{n}" for n in range(1, 11)), "data/b.parquet:1"]
    assert max(unit["stop"] - unit["start"] for unit in source.units(rows)) <= min(rows, 4)


def test_a_parquet_file_without_a_column_or_with_a_broken_footer_is_one_sentence(tmp_path):
    pq.write_table(pa.table({"n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"a\.parquet lacks the columns m, k"):
        list(ParquetRecords(str(tmp_path), ["n", "m", "k"]).units(1))
    write(tmp_path / "a.parquet", b"PAR1 but not really")
    with pytest.raises(SourceError, match=r"a\.parquet cannot be read as parquet"):
        list(ParquetRecords(str(tmp_path), ["n"]).units(1))


def test_a_row_group_that_is_damaged_costs_itself_from_there_on(tmp_path):
    table = pa.table({"n": pa.array(range(300)), "text": [f"some text {n}" * 20 for n in range(300)]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=100, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    data = bytearray(path.read_bytes())
    begin = column.data_page_offset
    data[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(bytes(data))
    found = read(ParquetRecords(str(path), ["n", "text"]), 100)
    assert [value for value in found.values() if isinstance(value, str)] == ["the rest of the row group is broken"]
    assert [value["n"] for value in found.values() if isinstance(value, dict)] == [*range(100), *range(200, 300)]


@given(st.lists(st.lists(st.text('ab,"\n é', max_size=4), min_size=2, max_size=2), max_size=7), st.integers(1, 4))
def test_any_table_comes_back_from_csv_by_parts(tmp_path_factory, rows, size):
    import csv

    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["one", "two"], *rows])
    found = read(CsvRecords(str(path)), size)
    assert list(found.values()) == [{"one": a, "two": b} for a, b in rows]


def test_rows_of_csv_that_do_not_fit_cost_themselves(tmp_path):
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbfa,b\n1,2\n3\n\n4,5,6\ncaf\xe9,x\n"7\n7",8\n"never closed,9\n')
    assert list(read(CsvRecords(str(path), ["a", "b"]), 2).values()) == [
        {"a": "1", "b": "2"},
        "wrong number of cells",
        "wrong number of cells",
        "not UTF-8",
        {"a": "7\n7", "b": "8"},
        "wrong number of cells",
    ]


def test_a_tsv_file_has_tabs(tmp_path):
    path = write(tmp_path / "a.tsv", "a\tb\n1,1\t2\n")
    assert list(read(CsvRecords(str(path))).values()) == [{"a": "1,1", "b": "2"}]


@pytest.mark.parametrize(
    ("content", "problem"), [("a,a\n", "different column names"), ("", "different column"), ("b\n1", "lacks")]
)
def test_a_csv_file_with_another_header_is_one_sentence(tmp_path, content, problem):
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(SourceError, match=problem):
        list(CsvRecords(str(path), ["a"]).units(1))


@pytest.mark.parametrize(
    ("value", "media"),
    [
        (b"xyz", Encoded(b"xyz")),
        ({"bytes": b"xyz", "path": "a.png"}, Encoded(b"xyz")),
        ({"bytes": None, "path": "a.png"}, File("a.png")),
        ("a.png", File("a.png")),
        (None, None),
        ("", None),
        (b"", None),
        ({"bytes": None, "path": None}, None),
        (7, None),
    ],
)
def test_a_picture_of_a_cell(value, media):
    assert encoded(value) == media

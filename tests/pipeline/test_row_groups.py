import pyarrow.parquet as pq
import pytest
from helpers import pair_preference

from urm_ray import schema
from urm_ray.pipeline import row_groups
from urm_ray.pipeline.row_groups import RowGroups

ROWS = [pair_preference(n) for n in range(10)]
BYTES = 2 * len(ROWS[0]["candidates"][0]["media"]["data"])


def written(path, rows=ROWS, **options) -> pq.ParquetFile:
    with RowGroups(str(path), schema.PREFERENCE, **options) as file:
        for row in rows:
            file.add(row)
        assert not path.exists()
    assert file.rows == len(rows)
    return pq.ParquetFile(path)


@pytest.mark.parametrize(
    ("limits", "groups"),
    [
        ({}, [10]),
        ({"GROUP_ROWS": 4}, [4, 4, 2]),
        ({"GROUP_ROWS": 5}, [5, 5]),
        ({"GROUP_BYTES": 3 * BYTES}, [3, 3, 3, 1]),
        ({"GROUP_BYTES": 1}, [1] * 10),
    ],
)
def test_a_row_group_has_so_many_rows_or_bytes(tmp_path, monkeypatch, limits, groups):
    for name, value in limits.items():
        monkeypatch.setattr(row_groups, name, value)
    file = written(tmp_path / "a.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == groups
    assert file.read().to_pylist() == ROWS
    written(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_few_rows_are_held(tmp_path, monkeypatch):
    monkeypatch.setattr(row_groups, "GROUP_BYTES", 3 * BYTES)
    with RowGroups(str(tmp_path / "a.parquet"), schema.PREFERENCE) as file:
        for n in range(1000):
            file.add(pair_preference(n))
            assert len(file._held) < 3


def test_without_a_row_there_is_no_file_unless_it_is_wished_for(tmp_path):
    with RowGroups(str(tmp_path / "a.parquet"), schema.PREFERENCE):
        pass
    assert list(tmp_path.iterdir()) == []
    assert written(tmp_path / "a.parquet", [], empty=True).metadata.num_rows == 0


@pytest.mark.parametrize("broken", [lambda file: 1 / 0, lambda file: file.add({"preference_id": "x"})])
def test_an_error_leaves_no_file(tmp_path, monkeypatch, broken):
    monkeypatch.setattr(row_groups, "GROUP_ROWS", 2)

    def write() -> None:
        with RowGroups(str(tmp_path / "a.parquet"), schema.PREFERENCE) as file:
            for row in ROWS[:5]:
                file.add(row)
            broken(file)

    with pytest.raises((ZeroDivisionError, KeyError)):
        write()
    assert list(tmp_path.iterdir()) == []

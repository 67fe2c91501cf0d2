from pathlib import Path

from sources.native import read_all, reasons, shown
from sources.native_images import write_open_image_preferences


def test_the_chosen_picture_comes_first(tmp_path: Path):
    write_open_image_preferences(tmp_path)
    rows, rejected = read_all("open-image-preferences", tmp_path)
    assert [shown(row) for row in rows] == [("a tower", "first", 3, 8), ("a bridge", "first", 11, 2)]
    assert reasons(rejected) == [
        ("data/train-00000-of-00002.parquet:2", "empty prompt"),
        ("data/train-00000-of-00002.parquet:3", "no rejected"),
        ("data/train-00001-of-00002.parquet:2", "undecodable picture"),
    ]


def test_a_single_file_is_read_alone(tmp_path: Path):
    write_open_image_preferences(tmp_path)
    rows, rejected = read_all("open-image-preferences", tmp_path / "data/train-00001-of-00002.parquet")
    assert [shown(row) for row in rows] == [("a bridge", "first", 11, 2)]
    assert reasons(rejected) == [("train-00001-of-00002.parquet:2", "undecodable picture")]

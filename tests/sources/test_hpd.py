from pathlib import Path

import pytest
from sources.native import read_all, reasons, shown
from sources.native_images import write_hpd

from urm_ray.sources.registry import SourceError

FILE = "data/train_000{}-00000-of-00001.parquet:{}"


def test_the_picture_with_more_votes_is_preferred_and_equal_votes_are_a_tie(tmp_path: Path):
    write_hpd(tmp_path)
    rows, rejected = read_all("hpd", tmp_path)
    assert [shown(row) for row in rows] == [
        ("more for the first", "first", 5, 9),
        ("more for the second", "second", 5, 9),
        ("as many", "tie", 5, 9),
        ("a webp file", "first", 7, 9),
    ]
    assert {(row["task"], row["kind"]) for row in rows} == {("image_generation", "pair")}
    assert reasons(rejected) == [
        (FILE.format(1, 4), "no votes"),
        (FILE.format(1, 5), "votes below zero"),
        (FILE.format(1, 6), "no votes_image1"),
        (FILE.format(1, 7), "empty prompt"),
        (FILE.format(2, 2), "no image2"),
        (FILE.format(2, 3), "no image2"),
        (FILE.format(2, 4), "missing picture"),
        (FILE.format(2, 5), "undecodable picture"),
        (FILE.format(2, 6), "undecodable picture"),
    ]


def test_rows_are_the_same_however_the_work_is_cut(tmp_path: Path):
    write_hpd(tmp_path)
    assert read_all("hpd", tmp_path, rows=1) == read_all("hpd", tmp_path, rows=1000)


def test_another_data_set_is_refused(tmp_path: Path):
    write_hpd(tmp_path)
    with pytest.raises(SourceError, match="lacks the columns caption, jpg_0, jpg_1, label_0"):
        read_all("pick-a-pic", tmp_path)
    with pytest.raises(SourceError, match="holds no"):
        read_all("evalmuse", tmp_path)

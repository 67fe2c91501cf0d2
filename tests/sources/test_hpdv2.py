from pathlib import Path

import pytest
from sources.native import read_all, reasons, shown
from sources.native_images import write_hpdv2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_hpdv2(tmp_path)
    return tmp_path


def test_pairs_of_the_training_split(folder: Path):
    rows, rejected = read_all("hpdv2", folder)
    assert [shown(row) for row in rows] == [("the first", "first", 2, 3), ("the second", "second", 4, 5)]
    assert reasons(rejected) == [
        ("train.json:3", "unknown label"),
        ("train.json:4", "unknown label"),
        ("train.json:5", "names and labels differ in number"),
        ("train.json:6", "human_preference is not a number"),
        ("train.json:7", "missing picture"),
        ("train.json:8", "undecodable picture"),
        ("train.json:9", "picture outside of the folder"),
        ("train.json:10", "empty prompt"),
        ("train.json:11", "file_path is not a list of texts"),
        ("train.json:12", "no rank"),
        ("train.json:13", "not an object"),
    ]


def test_every_two_ranked_pictures_are_a_pair_and_the_lower_rank_is_better(folder: Path):
    rows, rejected = read_all("hpdv2", folder / "test.json")
    assert [shown(row) for row in rows] == [
        ("ranked", "second", 12, 13),
        ("ranked", "tie", 12, 14),
        ("ranked", "first", 13, 14),
    ]
    assert reasons(rejected) == [
        ("test.json:2", "names and labels differ in number"),
        ("test.json:3", "rank is not a finite number"),
    ]

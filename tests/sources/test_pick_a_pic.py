from pathlib import Path

from sources.native import read_all, reasons, shown
from sources.native_images import write_pick_a_pic

TRAIN = "data/train-00000-of-00001.parquet:{}"


def test_labels_are_kept_ties_among_them_and_what_nobody_chose_is_none(tmp_path: Path):
    write_pick_a_pic(tmp_path)
    rows, rejected = read_all("pick-a-pic", tmp_path)
    assert [shown(row) for row in rows] == [
        ("the first", "first", 4, 6),
        ("the second", "second", 4, 6),
        ("a tie", "tie", 4, 6),
    ]
    assert reasons(rejected) == [
        (TRAIN.format(4), "not labelled"),
        (TRAIN.format(5), "the same picture twice"),
        (TRAIN.format(6), "unknown label"),
        (TRAIN.format(7), "label_0 is not a finite number"),
        (TRAIN.format(8), "no label_0"),
        (TRAIN.format(9), "labels contradict each other"),
        (TRAIN.format(10), "no jpg_1"),
        (TRAIN.format(11), "no jpg_1"),
        (TRAIN.format(12), "undecodable picture"),
        (TRAIN.format(13), "empty caption"),
    ]


def test_a_split_that_others_evaluate_on_is_read_by_its_file(tmp_path: Path):
    write_pick_a_pic(tmp_path)
    rows, _ = read_all("pick-a-pic", tmp_path / "data/test-00000-of-00001.parquet")
    assert [shown(row) for row in rows] == [("held out", "first", 4, 6)]

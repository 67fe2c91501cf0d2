from pathlib import Path

import pytest
from sources.native import read_all, reasons, shown
from sources.native_images import write_evalmuse

from urm_ray.sources.evalmuse import _marks
from urm_ray.sources.reader import reader


@pytest.mark.parametrize("zipped", [True, False], ids=["zip in parts", "unpacked"])
def test_points_are_means_and_pairs_are_the_best_against_the_worst_of_a_prompt(tmp_path: Path, zipped: bool):
    write_evalmuse(tmp_path, zipped)
    rows, rejected = read_all("evalmuse", tmp_path)
    points = [shown(row) for row in rows if row["kind"] == "point"]
    assert points == [
        ("two cats", 3.6667, 2),
        ("two cats", 4.6667, 3),
        ("a dog", 2.0, 4),
        ("two cats", 1.3333, 5),
        ("two cats", 4.6667, 6),
        ("equal", 3.0, 7),
        ("equal", 3.0, 8),
        ("a gap", 2.0, 10),
    ]
    assert [shown(row) for row in rows if row["kind"] == "pair"] == [("two cats", "first", 3, 5)]
    assert {row["scale"]["name"] for row in rows if row["kind"] == "point"} == {"1-5"}
    assert {row["dimension"] for row in rows} == {None}
    assert reasons(rejected) == [
        ("train_list.json:8", "score outside its scale"),
        ("train_list.json:9", "total_score is not a finite number"),
        ("train_list.json:10", "total_score is of no annotator"),
        ("train_list.json:11", "total_score is not a number"),
        ("train_list.json:12", "total_score is not a number"),
        ("train_list.json:13", "empty prompt"),
        ("train_list.json:14", "no img_path"),
        ("train_list.json:15", "an element's mark is of no annotator"),
        ("train_list.json:16", "an element's mark is not from 0 to 1"),
        ("train_list.json:17", "missing picture"),
        ("train_list.json:19", "undecodable picture"),
        ("train_list.json:3", "one picture of the prompt"),
        ("train_list.json:6", "pictures of equal score"),
        ("train_list.json:17-18", "missing picture"),
        ("train_list.json:19", "one picture of the prompt"),
    ]


def test_marks_of_elements_are_the_rationale_and_a_half_is_enough(tmp_path: Path):
    write_evalmuse(tmp_path)
    rows, _ = read_all("evalmuse", tmp_path)
    assert rows[0]["rationale"] == "cat (animal): 1\ntwo cats (counting): 0"
    assert rows[2]["rationale"] is None
    (one, *_), _ = read_all("evalmuse", tmp_path / "test.json")
    assert one["rationale"] == "cat (animal): 1\none (counting): 0"


def test_means_that_stand_in_place_of_the_scores_are_read_as_they_are(tmp_path: Path):
    write_evalmuse(tmp_path)
    rows, rejected = read_all("evalmuse", tmp_path / "test.json")
    assert [shown(row) for row in rows] == [("one cat", 3.6667, 2), ("one cat", 4.0, 3), ("one cat", "first", 3, 2)]
    assert not rejected


@pytest.mark.parametrize("rows", [1, 4, 1000])
def test_pairs_do_not_depend_on_how_the_work_is_cut(tmp_path: Path, rows: int):
    write_evalmuse(tmp_path)
    assert read_all("evalmuse", tmp_path, rows) == read_all("evalmuse", tmp_path, 7)


def test_planning_reads_no_pictures(tmp_path: Path):
    write_evalmuse(tmp_path)
    planned = list(reader("evalmuse", str(tmp_path)).units(5))
    for part in tmp_path.glob("images.zip*"):
        part.unlink()
    assert list(reader("evalmuse", str(tmp_path)).units(5)) == planned


@pytest.mark.parametrize(("marks", "shown"), [([1, 1, 0, 0, 0], 1), ([1, 0], 0), ([1, 0, 0], 0), ([1, 1, 0], 1)])
def test_two_annotators_are_enough_and_needed(marks: list[int], shown: int):
    assert _marks({"element_score": {"cat (animal)": marks}}) == {"cat (animal)": shown}

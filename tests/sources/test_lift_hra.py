from pathlib import Path

from sources.native import read_all, reasons, shown
from sources.native_videos import write_lift_hra


def test_a_grade_is_a_point_in_the_dimension_of_its_question(tmp_path: Path):
    write_lift_hra(tmp_path)
    rows, rejected = read_all("lift-hra", tmp_path)
    assert [(*shown(row), row["dimension"], row["rationale"]) for row in rows] == [
        ("A dog. It runs", 3, 4, "semantic consistency", "There are no obvious problems."),
        ("A dog. It runs", 2, 4, "fidelity", "The legs, at times, are three."),
        ("A dog. It runs", 1, 4, "motion", "It jumps.\nTwice."),
        ("A dog. It runs", 3, 4, "motion", None),
        ("A dog. It runs", 3, 4, "motion", None),
    ]
    assert {row["scale"]["name"] for row in rows} == {"bad-normal-good"}
    assert {row["task"] for row in rows} == {"video_generation"}
    name = "LiFT-HRA-data.json:{}"
    assert reasons(rejected) == [
        (name.format(6), "unknown grade"),
        (name.format(7), "unknown grade"),
        (name.format(8), "unknown grade"),
        (name.format(9), "unknown grade"),
        (name.format(10), "unknown grade"),
        (name.format(11), "empty value"),
        (name.format(12), "unknown question"),
        (name.format(13), "empty caption"),
        (name.format(14), "unknown question"),
        (name.format(15), "missing clip"),
        (name.format(16), "no video"),
        (name.format(17), "not one question and one answer"),
        (name.format(18), "conversations is not a list"),
    ]


def test_an_answer_that_cannot_be_read_is_never_good(tmp_path: Path):
    """Where the data set's own code meets no grade, it takes Good."""
    write_lift_hra(tmp_path)
    _, rejected = read_all("lift-hra", tmp_path)
    assert {r.detail for r in rejected if r.reason == "unknown grade"} >= {"It is good.", "Goodness. It runs."}

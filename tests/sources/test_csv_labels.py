from pathlib import Path

import pytest
from sources.native import read_all, reasons, shade_of, shown
from sources.native_general import write_csv, write_media

from urm_ray.sources.registry import SourceError

PAIR = {"prompt": "a cat", "image_1": "images/1.jpg", "image_2": "images/2.jpg", "label": "second"}
POINT = {"prompt": "a cat", "image": "images/3.jpg", "score": "3.5", "scale": "1-5"}


def test_every_kind_of_row_is_read(tmp_path: Path):
    write_media(tmp_path)
    rows = [
        PAIR,
        PAIR | {"prompt": "clips", "image_1": "", "image_2": "", "video_1": "videos/1.mp4", "video_2": "videos/2.mp4"},
        {"prompt": "frames", "video_1": "images", "video_2": "videos/2.mp4", "label": " Tie "},
        {
            "prompt": "what, is it?",
            "image": "images/4.jpg",
            "answer_1": "a cat",
            "answer_2": 'a "dog"',
            "label": "first",
        },
        {"prompt": "when?", "video": "videos/3.mp4", "answer": "now\nor then", "score": "7", "scale": "0-10"},
        POINT | {"dimension": "colour", "rationale": "It is red.", "id": "mine"},
        {"prompt": "a clip", "video": "videos/1.mp4", "score": "-1", "scale": "-2-2"},
    ]
    (tmp_path / "images" / "cut.jpg").unlink()
    write_csv(tmp_path / "labels.csv", rows)
    found, rejected = read_all("csv", tmp_path)
    assert not rejected
    assert [shown(row) for row in found] == [
        ("a cat", "second", 1, 2),
        ("clips", "second", 1, 2),
        ("frames", "tie", 1, 2),
        ("what, is it?", "first", "a cat", 'a "dog"'),
        ("when?", 7.0, "now\nor then"),
        ("a cat", 3.5, 3),
        ("a clip", -1.0, 1),
    ]
    assert [row["task"] for row in found] == [
        "image_generation",
        "video_generation",
        "video_generation",
        "image_understanding",
        "video_understanding",
        "image_generation",
        "video_generation",
    ]
    assert [shade_of(row["context"][0]) for row in found if row["context"]] == [4, 3]
    assert (found[5]["dimension"], found[5]["rationale"]) == ("colour", "It is red.")
    assert [row["scale"] for row in found[4:]] == [
        {"name": "0-10", "minimum": 0, "maximum": 10},
        {"name": "1-5", "minimum": 1, "maximum": 5},
        {"name": "-2-2", "minimum": -2, "maximum": 2},
    ]


def test_an_id_names_the_row_wherever_it_stands(tmp_path: Path):
    write_media(tmp_path)
    write_csv(tmp_path / "a.csv", [PAIR | {"id": "x"}, PAIR | {"id": "y"}])
    write_csv(tmp_path / "b.csv", [PAIR | {"id": "y"}, PAIR | {"id": "x"}])
    one, two = ([row["preference_id"] for row in read_all("csv", tmp_path / name)[0]] for name in ("a.csv", "b.csv"))
    assert one == two[::-1]
    assert len(set(one)) == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (PAIR | {"label": "1"}, "label is not first, second or tie"),
        (PAIR | {"label": ""}, "neither a label nor a score"),
        (PAIR | {"score": "3", "scale": "1-5"}, "both a label and a score"),
        (PAIR | {"image_2": ""}, "no image_2"),
        (PAIR | {"image_2": "images/1.jpg"}, "the same candidate twice"),
        (PAIR | {"image_2": "images/9.jpg"}, "missing picture"),
        (PAIR | {"image_2": "images/cut.jpg"}, "undecodable picture"),
        (PAIR | {"image_2": "../secret.jpg"}, "picture outside of the folder"),
        (PAIR | {"video_1": "videos/1.mp4"}, "candidates of two kinds"),
        (PAIR | {"image_1": ""}, "no candidates"),
        (PAIR | {"prompt": " "}, "no prompt"),
        (PAIR | {"answer_1": "a", "answer_2": "b"}, "no image or video"),
        (POINT | {"score": "good"}, "score is not a number"),
        (POINT | {"score": "3,5"}, "score is not a number"),
        (POINT | {"score": "6"}, "score outside its scale"),
        (POINT | {"scale": ""}, "no scale"),
        (POINT | {"scale": "5"}, "scale is not its two ends, as 1-5"),
        (POINT | {"scale": "5-1"}, "scale is not its two ends, as 1-5"),
    ],
)
def test_a_row_that_does_not_fit_is_put_aside_alone(tmp_path: Path, row, reason):
    write_media(tmp_path)
    write_csv(tmp_path / "labels.csv", [PAIR, row, POINT])
    found, rejected = read_all("csv", tmp_path)
    assert len(found) == 2
    assert [why for _, why in reasons(rejected)] == [reason]


def test_a_file_without_prompts_is_one_sentence(tmp_path: Path):
    write_csv(tmp_path / "labels.csv", [{"caption": "a cat", "score": 3}])
    with pytest.raises(SourceError, match=r"labels\.csv lacks the columns prompt"):
        read_all("csv", tmp_path)

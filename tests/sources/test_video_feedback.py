import pytest
from sources.native import read_all, reasons, shown
from sources.native_videos import write_video_feedback

from urm_ray.sources.video_feedback import DIMENSIONS

LAYOUTS = ["images", "{config}/images", "{config}/frames_{config}_train", None]


@pytest.fixture(scope="module", params=LAYOUTS, ids=str)
def read(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("feedback")
    write_video_feedback(folder, request.param)
    return read_all("videofeedback", folder)


def test_a_clip_has_a_point_in_each_dimension(read):
    rows, _ = read
    assert [(shown(row)[:2], row["dimension"]) for row in rows[:5]] == [
        (("a whale", score), dimension) for score, dimension in zip((1, 2, 3, 4, 2), DIMENSIONS, strict=True)
    ]
    assert [row["prompt"] for row in rows] == [
        *["a whale"] * 5,
        "scores that are none",
        *["the same clip"] * 5,
        *["a street"] * 5,
    ]
    assert [shown(rows[i])[-1] for i in (0, 5, 6, 11)] == [3, 10, 3, 15]
    assert {row["scale"]["name"] for row in rows} == {"1-4"}


def test_frames_are_a_clip_of_eight_a_second(read):
    clip = read[0][0]["candidates"][0]["media"]
    assert (clip["kind"], clip["frames"], clip["fps"], clip["width"], clip["height"]) == ("video", 4, 8.0, 24, 16)


def test_a_broken_score_costs_its_dimension_and_broken_frames_the_clip(read):
    _, rejected = read
    name = "annotated/train-00000-of-00001.parquet:{}"
    assert reasons(rejected) == [
        (name.format(2), "score outside its scale"),
        (name.format(2), "score outside its scale"),
        (f"{name.format(2)}:dynamic degree", "dynamic degree is not a finite number"),
        (f"{name.format(2)}:text-to-video alignment", "no text-to-video alignment"),
        (name.format(4), "frames of different clips"),
        (name.format(5), "empty images"),
        *[(name.format(6), "missing clip")] * 5,
        *[(name.format(7), "undecodable clip")] * 5,
        (name.format(8), "no text prompt"),
        *[(name.format(9), "clip outside of the folder")] * 5,
    ]

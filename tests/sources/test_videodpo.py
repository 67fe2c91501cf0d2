import json
from pathlib import Path

import pytest
from sources.native import read_all, reasons, shown, write
from sources.native_videos import write_videodpo, write_videodpo_fork

from urm_ray.sources.reader import reader
from urm_ray.sources.registry import SourceError


@pytest.mark.parametrize("rows", [2, 100])
def test_numbers_are_those_of_the_published_list_whatever_is_too_short(tmp_path: Path, rows: int):
    """Clips 0 and 2 are short: had they been taken out first, 1 and 3 would be other clips."""
    write_videodpo(tmp_path)
    kept, rejected = read_all("videodpo", tmp_path, rows)
    assert [shown(row) for row in kept] == [("one against three", "first", 3, 5), ("six against four", "first", 8, 6)]
    assert {(row["task"], row["kind"]) for row in kept} == {("video_generation", "pair")}
    assert reasons(rejected) == [
        ("pair.json:3", "clip shorter than a second"),
        ("pair.json:4", "clip shorter than a second"),
        ("pair.json:5", "no clip of this number"),
        ("pair.json:6", "no clip of this number"),
        ("pair.json:7", "no path or length of a clip"),
        ("pair.json:8", "no path or length of a clip"),
        ("pair.json:9", "the same clip twice"),
        ("pair.json:10", "video1 is not a whole number"),
        ("pair.json:11", "video1 is not a number"),
        ("pair.json:12", "frame_caption is not a text"),
        ("pair.json:13", "no frame_caption"),
        ("pair.json:14", "missing clip"),
        ("pair.json:15", "undecodable clip"),
    ]


def test_several_folders_have_their_own_numbers(tmp_path: Path):
    write_videodpo(tmp_path / "one")
    write_videodpo(tmp_path / "two")
    write(tmp_path / "two/pair.json", json.dumps([{"video1": 4, "video2": 3, "frame_caption": ["of two"]}]))
    rows, _ = read_all("videodpo", tmp_path)
    assert [row["prompt"] for row in rows] == ["one against three", "six against four", "of two"]
    assert shown(rows[2]) == ("of two", "first", 6, 5)


def test_a_part_carries_no_more_of_the_list_than_it_names(tmp_path: Path):
    write_videodpo(tmp_path)
    first, *_ = reader("videodpo", str(tmp_path)).units(2)
    assert sorted(first["clips"]) == ["1", "3", "4", "6"]


def test_pairs_without_their_list_of_clips_are_refused(tmp_path: Path):
    write_videodpo(tmp_path)
    (tmp_path / "metadata.json").unlink()
    with pytest.raises(SourceError, match="no file or folder"):
        read_all("videodpo", tmp_path)


def test_the_form_of_the_fork(tmp_path: Path):
    write_videodpo_fork(tmp_path)
    for path in (tmp_path, tmp_path / "dpo_data.json"):
        rows, rejected = read_all("videodpo", path)
        assert [shown(row) for row in rows] == [("a against b", "first", 3, 7), ("the same number", "first", 7, 3)]
        assert reasons(rejected) == [
            ("dpo_data.json:3", "the same clip twice"),
            ("dpo_data.json:4", "empty caption"),
            ("dpo_data.json:5", "no rejected"),
            ("dpo_data.json:6", "clip outside of the folder"),
        ]

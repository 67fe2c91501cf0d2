import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exports.rows import pairs_folder, preferences_folder
from helpers import clip, pair_preference, picture, point_preference, run_python, small_disk

from urm_ray import cli_export, schema
from urm_ray.exports.export import FORMATS, Options, export
from urm_ray.local_copies import upload_dir
from urm_ray.media import encode_image
from urm_ray.sources.registry import SourceError
from urm_ray.store import StoreError


@pytest.mark.parametrize("name", FORMATS)
def test_what_sifting_dropped_and_what_has_no_place_is_counted_and_left_out(name, tmp_path):
    form = FORMATS[name]
    if form.takes == "preferences":
        source = preferences_folder(tmp_path, [pair_preference(0), point_preference(1)])
        assert export(name, source, str(tmp_path / "out")) == {"kept": {"image_generation": 2}, "left_out": {}}
        return
    source = pairs_folder(tmp_path, dict.fromkeys(schema.TASKS, 3))
    found = export(name, source, str(tmp_path / "out"))
    assert found["kept"] == dict.fromkeys(sorted(form.tasks, key=schema.TASKS.index), 3)
    others = [task for task in schema.TASKS if task not in form.tasks]
    assert found["left_out"] == {"dropped by sifting (tie)": 4} | {f"{name} has no place for {t}": 3 for t in others}


def test_pairs_of_a_run_in_a_bucket_are_written_to_a_folder_and_to_nothing_else(objects, tmp_path):
    source, uri = pairs_folder(tmp_path, {"image_generation": 3}), objects.uri("run", "pairs", "sifted")
    upload_dir(source, uri)
    here, there = (export("pick-a-pic", place, str(tmp_path / name)) for place, name in ((source, "1"), (uri, "2")))
    assert here == there
    with pytest.raises(SourceError, match="written to a folder of this machine"):
        export("pick-a-pic", source, objects.uri("exports"))


def test_a_file_that_is_missing_costs_its_row(tmp_path):
    source = pairs_folder(tmp_path, {"image_generation": 2}, chosen_media=[None, encode_image(picture(9))])
    found = export("pick-a-pic", source, str(tmp_path / "out"))
    assert found["kept"] == {"image_generation": 1}
    assert found["left_out"] == {"no picture": 1, "dropped by sifting (tie)": 1}


def test_equal_pictures_are_no_pair(tmp_path):
    same = encode_image(picture(100))  # as the rejected one of the first pair
    source = pairs_folder(tmp_path, {"image_generation": 2}, chosen_media=[same, encode_image(picture(9))])
    assert export("pick-a-pic", source, str(tmp_path / "out"))["left_out"]["chosen and rejected are one picture"] == 1


@pytest.mark.parametrize("name", ["llama-factory", "ms-swift"])
def test_a_text_that_spells_a_slot_is_left_out(name, tmp_path):
    source = pairs_folder(tmp_path, {"image_understanding": 2}, prompts=["what is <image>?", "what?"])
    found = export(name, source, str(tmp_path / "out"))
    assert found["kept"] == {"image_understanding": 1}
    assert found["left_out"]["a text spells the mark of a file"] == 1


def test_a_source_of_another_kind_is_refused_in_a_sentence(tmp_path):
    pairs = pairs_folder(tmp_path, {"image_understanding": 1})
    preferences = preferences_folder(tmp_path, [pair_preference(0)])
    with pytest.raises(SourceError, match="is not the `sifted` folder of a pairs stage: it lacks chosen"):
        export("trl", preferences, str(tmp_path / "out"))
    with pytest.raises(SourceError, match="is not a folder of preferences: it lacks candidates"):
        export("llama-factory-judge", pairs, str(tmp_path / "out"))
    with pytest.raises(SourceError, match="cannot be read as parquet"):
        export("trl", str(tmp_path / "nothing"), str(tmp_path / "out"))
    with pytest.raises(SourceError, match="no format 'tlr'; there are trl"):
        export("tlr", pairs, str(tmp_path / "out"))
    with pytest.raises(SourceError, match=r"can be written as pick-a-pic: .*has no place for image_understanding"):
        export("pick-a-pic", pairs, str(tmp_path / "out"))


def test_nothing_is_overwritten(tmp_path):
    source = pairs_folder(tmp_path, {"image_understanding": 1})
    export("trl", source, str(tmp_path / "out"))
    with pytest.raises(SourceError, match="is not empty"):
        export("ms-swift", source, str(tmp_path / "out"))


def test_an_export_that_was_killed_is_made_by_the_same_command_and_lies_where_it_was_named(tmp_path, capsys):
    source, out = pairs_folder(tmp_path, {"image_understanding": 2}), tmp_path / "out"
    command = ("--format", "ms-swift", "--pairs", source, "--out", str(out))
    code = (
        "import os, sys; from urm_ray import cli_export; from urm_ray.exports.ms_swift import MsSwiftPairs\n"
        "MsSwiftPairs.close = lambda self: os._exit(9)\n"
        "cli_export.main('', sys.argv[1:])"
    )
    assert run_python("-c", code, *command).returncode == 9
    assert not out.exists()
    assert list((tmp_path / ".out.partial").iterdir())
    (tmp_path / ".out.partial" / "of-the-killed-one").touch()
    assert cli_export.main("", command) == 0
    assert not (tmp_path / ".out.partial").exists()
    assert not (out / "of-the-killed-one").exists()
    (line, *_) = (out / "image_understanding.jsonl").read_text().splitlines()
    assert all(Path(image).is_relative_to(out) and Path(image).is_file() for image in json.loads(line)["images"])


def test_a_full_disk_is_one_sentence_and_leaves_nothing_of_an_export(tmp_path, capsys):
    source = pairs_folder(tmp_path, {"image_understanding": 1}, chosen_media=[None])
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free))
        assert cli_export.main("", ("--format", "trl", "--pairs", source, "--out", str(disk / "out"))) == 1
        assert [path.name for path in disk.iterdir()] == ["filler"]
    said = capsys.readouterr().err
    assert said == f"error: no free space for {disk}/out: 0.0 MiB are left; make room, and try again\n"


@pytest.mark.parametrize(
    ("source", "out", "said"),
    [("s3://bucket/pairs?regoin=x", "out", "error: a s3 URI says regoin"), (None, "file/out", "error: [Errno 20] ")],
)
def test_a_place_that_cannot_be_used_is_one_sentence(tmp_path, capsys, source, out, said):
    (tmp_path / "file").touch()
    source = source or pairs_folder(tmp_path, {"image_understanding": 1})
    assert cli_export.main("", ("--format", "trl", "--pairs", source, "--out", str(tmp_path / out))) == 1
    assert capsys.readouterr().err.startswith(said)


def test_an_empty_folder_is_filled_and_a_mounted_one_is_refused_before_anything_is_written(tmp_path):
    source, out = pairs_folder(tmp_path, {"image_understanding": 1}), tmp_path / "out"
    out.mkdir()
    (tmp_path / "link").symlink_to(out)
    export("trl", source, str(tmp_path / "link"))
    assert [path.name for path in out.iterdir()] == ["image_understanding.parquet"]
    with small_disk(tmp_path / "disk", 1) as disk, pytest.raises(StoreError, match="name a folder in it"):
        export("trl", source, str(disk))


def test_equal_pairs_give_equal_bytes_and_a_file_is_written_once(tmp_path):
    shared = clip([1, 2, 3])
    source = pairs_folder(tmp_path, {"video_generation": 3}, chosen_media=[shared] * 3)
    found = []
    for name in ("one", "two"):
        export("videodpo", source, str(tmp_path / name))
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        found.append({str(p.relative_to(tmp_path / name)): p.read_bytes() for p in files})
    assert found[0] == found[1]
    assert sum(data == shared["data"] for data in found[0].values()) == 1
    assert len(found[0]) == 1 + 1 + 3  # the list, the shared clip, three that lost


def test_clips_become_as_many_pictures_as_asked_where_a_format_knows_no_clips(tmp_path):
    source = pairs_folder(tmp_path, {"video_understanding": 2})
    export("trl", source, str(tmp_path / "out"), Options(frames=3))
    table: pa.Table = pq.read_table(tmp_path / "out" / "video_understanding.parquet")
    assert [len(images) for images in table["images"].to_pylist()] == [3, 3]

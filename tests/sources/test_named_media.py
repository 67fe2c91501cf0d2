import json
import os
import time
import zipfile
from pathlib import Path

import pytest
from helpers import picture

from urm_ray import store
from urm_ray.local_copies import upload_dir
from urm_ray.sources.named_media import media_state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shots" / "clip").mkdir(parents=True)
    for name in ("10.png", "shots/20.png", "shots/clip/1.png", "unnamed.png"):
        picture(10).save(tmp_path / name)
    return tmp_path


def lines(folder: Path, *values: object, name: str = "mine.jsonl") -> str:
    (folder / name).write_text("\n".join(v if isinstance(v, str) else json.dumps(v) for v in values))
    return str(folder / name)


def in_both_forms(folder: Path) -> list[str]:
    names = ["10.png", "shots/20.png", "shots/clip"]
    listed = [{"prompt": "a", "images": names[:1], "videos": names[2:]}, {"prompt": "b", "candidates": names[1:2]}]
    labels = "prompt,image_1,image_2,video,label", f"a,{names[0]},{names[1]},,first", f"b,,,{names[2]},"
    return [lines(folder, *listed), lines(folder, *labels, name="mine.csv")]


def change(place: Path) -> None:
    """The same number of bytes under the same name, a moment later."""
    os.utime(place, ns=(time.time_ns(), place.stat().st_mtime_ns + 1_000))


@pytest.mark.parametrize("form", [0, 1])
def test_every_file_that_is_named_counts_and_no_other(folder, form):
    path = in_both_forms(folder)[form]
    before = media_state(path)
    assert {"10.png", "shots/20.png", "shots/clip", "shots/clip/1.png"} == {name for name, _, _ in before}
    change(folder / "unnamed.png")
    assert media_state(path) == before
    for name in ("10.png", "shots/20.png", "shots/clip/1.png"):
        change(folder / name)
        assert media_state(path) != before
        before = media_state(path)
    (folder / "10.png").unlink()
    assert ("10.png", -1, -1) in media_state(path)


def test_an_archive_counts_where_a_name_in_labels_is_no_file(folder, objects):
    path = lines(folder, "prompt,image,score", "a,packed/1.png,1", name="mine.csv")
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        archive.writestr("1.png", b"one")
    upload_dir(str(folder), objects.uri("data"))
    there = objects.uri("data", "mine.csv")
    before, before_there = media_state(path, labels=True), media_state(there, labels=True)
    assert {name for name, _, _ in before} == {name for name, _, _ in before_there} == {"packed/1.png", "packed.zip"}
    change(folder / "packed.zip")
    assert media_state(path, labels=True) != before
    assert media_state(path) == media_state(there) == [("packed/1.png", -1, -1)]


@pytest.mark.parametrize("form", [0, 1])
def test_answers_in_words_are_no_files(folder, form):
    listed = [{"prompt": "a", "images": ["10.png"], "candidates": ["shots/20.png"]}]
    forms = [lines(folder, *listed), lines(folder, "prompt,image,candidate", "a,10.png,shots/20.png", name="mine.csv")]
    assert [name for name, _, _ in media_state(forms[form], candidates=False)] == ["10.png"]
    assert [name for name, _, _ in media_state(forms[form])] == ["10.png", "shots/20.png"]


def test_what_leads_out_of_the_folder_or_cannot_be_read_names_nothing(folder):
    inner = folder / "inner"
    inner.mkdir()
    outside = ["../10.png", str(folder / "10.png"), "a/../../10.png", "http://host/10.png", "\ud800", "a\0b", ".", ""]
    rows = [{"prompt": "a", "images": outside}, {"images": "10.png"}, {"images": [3, None]}, [1], "{", "\\xff", "null"]
    assert media_state(lines(inner, *rows)) == []
    assert media_state(lines(inner, "no,header,no", "1", name="mine.csv")) == []
    assert media_state(lines(inner, "image", "a,b,c", "\0", name="mine.csv")) == []
    (inner / "bytes.jsonl").write_bytes(b'\xff\xfe\n{"images": ["\xff"]}\n')
    assert media_state(str(inner / "bytes.jsonl")) == []
    (inner / "folder.csv").mkdir()
    for name in ("folder.csv", "missing.jsonl", "prompts.txt"):
        assert media_state(str(inner / name)) == []
    answer = "a very long answer " * 300
    assert media_state(lines(inner, {"candidates": [answer]})) == [(answer.strip(), -1, -1)]


def test_on_an_object_store_one_listing_tells_the_same(folder, objects):
    paths = in_both_forms(folder)
    upload_dir(str(folder), objects.uri("data"))
    for path in paths:
        there = objects.uri("data", Path(path).name)
        objects.asked.clear()
        before = media_state(there)
        files = {name: size for name, size, _ in media_state(path) if not (folder / name).is_dir()}
        assert {name: size for name, size, _ in before} == files
        assert len(objects.asked) < 10
        store.write_bytes(objects.uri("data", "shots", "20.png"), b"other" + Path(path).name.encode())
        assert media_state(there) != before
        picture(10).save(folder / "shots/20.png")
        upload_dir(str(folder), objects.uri("data"))


def test_a_hundred_thousand_names_are_looked_at_in_seconds(folder):
    path = lines(folder, *({"prompt": str(n), "candidates": [f"shots/{n}.png"]} for n in range(100_000)))
    started = time.process_time()
    assert len(media_state(path)) == 100_000
    assert time.process_time() - started < 5

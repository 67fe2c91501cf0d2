"""Whatever a record names as a picture or clip, nothing outside of the data set's folder is opened."""

import json
import os
import resource
from pathlib import Path
from typing import Any

import psutil
import pytest
from clip_files import children, shades, video_file
from hypothesis import example, given
from hypothesis import strategies as st
from safety.opened import opened
from sources.native import grey, shade_of, write, write_zip

from urm_ray import clips
from urm_ray.clips import read_clip
from urm_ray.reward_benchmarks.layouts import beside
from urm_ray.sources.candidates import CandidateFile
from urm_ray.sources.draft import File, Frames
from urm_ray.sources.fields import FieldError
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.prompts import PromptFile
from urm_ray.sources.reader import reader
from urm_ray.sources.registry import Rejected, SourceError

PIECES = ["..", ".", "", "~", "secret.jpg", "sub", "1.jpg", "link.jpg", "way", "out", "pipe.jpg", "pack.zip", "zero"]
PIECES += [
    "file:",
    "file://",
    "http://",
    "C:",
    "..\\",
    "\\\\host\\share",
    "%2e%2e",
    "%00",
    "\0",
    "\n",
    "a" * 300,
    "..;",
]
PIECES += ["\udcff", "\ud800", "etc", "passwd", "proc", "self", "environ", "dev", "set", "set-too", "\u2025", "\uff0f"]
NAMES = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PIECES), max_size=7).map("/".join))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with links and a pipe that lead out of it, or nowhere."""
    top = tmp_path_factory.mktemp("data")
    root = top / "set"
    write(root / "sub" / "1.jpg", grey(1))
    for bait in (top / "secret.jpg", top / "set-too" / "secret.jpg", top / "out" / "1.jpg"):
        write(bait, grey(9))
    write_zip(top / "private.zip", {"hidden.jpg": grey(9)})
    write_zip(root / "pack.zip", {"in.jpg": grey(3), "../secret.jpg": grey(9)})
    links = {"link.jpg": "../secret.jpg", "way": "/", "out": "../out", "zero": "/dev/zero", "round": "round"}
    for name, to in (links | {"more.zip": "../private.zip", "inside.jpg": "sub/1.jpg"}).items():
        os.symlink(to, root / name)
    os.mkfifo(root / "pipe.jpg")
    MediaFolder(str(root)).read(File("sub/1.jpg"))  # what is imported late is imported now
    return root


def inside(found: list[Path], root: Path) -> None:
    assert [path for path in found if not path.is_relative_to(root.resolve())] == []


def named(media: MediaFolder, what: Any) -> int | str:
    try:
        return shade_of(media.read(what))
    except FieldError as error:
        return error.reason


@given(NAMES)
@example("../secret.jpg")
@example("way/etc/passwd")
@example("hidden.jpg")
@example("more/hidden.jpg")
@example("pack/../../secret.jpg")
def test_no_reader_opens_what_is_outside(folder, name):
    media = MediaFolder(str(folder))
    with opened() as found:
        shown = [named(media, one) for one in (File(name), File(name, "video"), Frames((name, "sub/1.jpg")))]
        shown.append(named(media, beside("deep/er/a.json:1", File(f"../../{name}"))))
    inside(found, folder)
    assert 9 not in shown


@given(NAMES)
@example("../secret.jpg")
@example("pipe.jpg")
@example("round")
def test_no_prompt_file_opens_what_is_outside(folder, name):
    prompts = PromptFile(_prompts(folder, [{"prompt": "a"}]), 0, "image_understanding", {})
    with opened() as found:
        shown = [prompts.media("images", name), prompts.media("videos", name)]
    inside(found, folder)
    for one in shown:
        assert isinstance(one, str) or shade_of(one) == 1


def _prompts(folder: Path, lines: list[dict[str, Any]]) -> str:
    (folder / "prompts.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return str(folder / "prompts.jsonl")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.jpg", "picture outside of the folder"),
        ("way/etc/passwd", "picture outside of the folder"),
        ("out/1.jpg", "picture outside of the folder"),
        ("zero", "picture outside of the folder"),
        ("/dev/zero", "picture outside of the folder"),
        ("round", "picture outside of the folder"),
        ("sub/../../secret.jpg", "picture outside of the folder"),
        ("pipe.jpg", "missing picture"),
        ("hidden.jpg", "missing picture"),
        ("more/hidden.jpg", "missing picture"),
        ("..\\secret.jpg", "missing picture"),
        ("file:../secret.jpg", "missing picture"),
        ("file:///etc/passwd", "URL is not allowed"),
        ("inside.jpg", 1),
        ("pack/in.jpg", 3),
    ],
)
def test_each_way_out_is_closed_for_its_reason(folder, name, reason):
    assert named(MediaFolder(str(folder)), File(name)) == reason


def test_candidates_and_context_of_a_prompt_file_are_held_to_its_folder(folder):
    names = ["../secret.jpg", "pipe.jpg", "way/etc/passwd", "https://example.org/a.jpg", "sub/1.jpg"]
    path = _prompts(folder, [{"prompt": "a", "prompt_id": "p", "candidates": names}])
    *refused, last = CandidateFile(path, "image_generation").of("p")
    said = ["picture outside of", "unreadable picture: pipe.jpg: it is no file", "picture outside of", "picture is no"]
    assert [one["error"].startswith(start) for one, start in zip(refused, said, strict=True)] == [True] * 4
    assert (shade_of(last["media"]), last["error"]) == (1, None)
    path = _prompts(folder, [{"prompt": "a", "images": ["../secret.jpg"]}])
    source = PromptFile(path, 0, "image_understanding", {"train_prompts": 1})
    (row,) = source.read("train_prompts", 0, 1)
    assert isinstance(row, Rejected)
    assert row.reason == "picture outside of the prompt file's folder"


@pytest.mark.parametrize("name", ["../elsewhere/a.json", "/etc/passwd", "out.json", "https://example.org/a.json"])
def test_an_index_of_data_sets_names_files_of_its_folder_alone(tmp_path, name):
    root = tmp_path / "set"
    write(tmp_path / "elsewhere/a.json", "[]")
    write(root / "dataset_info.json", json.dumps({"one": {"file_name": name}}))
    os.symlink("../elsewhere/a.json", root / "out.json")
    with opened() as found, pytest.raises(SourceError):
        list(reader("llama-factory", str(root)).units(10))
    inside(found, root)


def test_records_in_files_that_are_links_out_of_the_folder_are_not_read(tmp_path):
    root = tmp_path / "set"
    row = "prompt,image_1,image_2,label\na,1.jpg,2.jpg,first\n"
    write(root / "own.csv", row)
    write(tmp_path / "secret.csv", row)
    os.symlink("../secret.csv", root / "linked.csv")
    with opened() as found:
        units = list(reader("csv", str(root)).units(10))
    assert [unit["file"] for unit in units] == ["own.csv"]
    inside(found, root)


TEXTS = {
    "a list of clips": b"ffconcat version 1.0\nfile private.ts\nduration 1\n",
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1.0,\nprivate.ts\n#EXT-X-ENDLIST\n",
    "a connection": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 0.0.0.0\nt=0 0\nm=video 45678 RTP/AVP 96\n"
    b"a=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_clip_that_is_a_text_about_others_opens_none(text, tmp_path, monkeypatch):
    # ffmpeg would look for the names where the process stands.
    monkeypatch.chdir(tmp_path)
    clips._end_child()
    (tmp_path / "private.ts").write_bytes(video_file(shades(25), "mpeg2video", "mpegts"))
    assert read_clip((tmp_path / "private.ts").read_bytes())["width"] == 48
    write(tmp_path / "set" / "clip.mp4", text)
    with pytest.raises(FieldError, match="undecodable clip"):
        MediaFolder(str(tmp_path / "set")).read(File("clip.mp4", "video"))
    (child,) = children()
    assert resource.prlimit(child, resource.RLIMIT_NOFILE) == (3, 3)
    assert psutil.Process(child).net_connections("inet") == []

import os
from pathlib import Path

import pytest
from sources.native import cut, grey, grey_clip, shade_of, write, write_zip

from urm_ray import schema
from urm_ray.sources import media_folder
from urm_ray.sources.check import check_preference
from urm_ray.sources.draft import Encoded, File, Frames, pair, point
from urm_ray.sources.fields import FieldError
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.registry import Rejected, SourceError

SCALE = {"name": "1-5", "minimum": 1, "maximum": 5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    write(root / "sub" / "1.jpg", grey(1))
    write(root / "clip.mp4", grey_clip(2))
    write(root / "cut.jpg", cut(3))
    write(root / "empty.png", b"")
    for n in (1, 2, 10):
        write(root / "frames" / f"f_{n}.jpg", grey(n))
    write(root / "frames" / "notes.txt", "x")
    write(tmp_path / "secret.jpg", grey(4))
    os.symlink("../secret.jpg", root / "link.jpg")
    os.symlink("/", root / "root")
    packed = {"5.jpg": grey(5), "in/6.jpg": grey(6), "pics/7.jpg": grey(7), "clips/8.mp4": grey_clip(8)}
    packed |= {"frames/v/f_9.jpg": grey(9), "frames/v/f_11.jpg": grey(11), "sub/1.jpg": grey(20)}
    write_zip(root / "pics.zip", packed, parts=3)
    write_zip(root / "deep" / "more.zip", {"12.jpg": grey(12)})
    return root


@pytest.mark.parametrize(
    ("name", "shade"),
    [
        ("sub/1.jpg", 1),
        ("./sub/../sub/1.jpg", 1),
        ("5.jpg", 5),
        ("pics/5.jpg", 5),
        ("in/6.jpg", 6),
        ("pics/in/6.jpg", 6),
        ("pics/7.jpg", 7),
        ("pics/pics/7.jpg", 7),
        ("deep/12.jpg", 12),
        ("deep/more/12.jpg", 12),
    ],
)
def test_pictures_lie_in_files_or_in_archives_as_if_those_were_unpacked(folder, name, shade):
    assert shade_of(MediaFolder(str(folder)).read(File(name))) == shade


def test_clips_lie_there_too(folder):
    media = MediaFolder(str(folder))
    assert [shade_of(media.read(File(name, "video"))) for name in ("clip.mp4", "clips/8.mp4")] == [2, 8]


def test_frames_make_a_clip_in_the_order_given_and_those_of_a_folder_in_the_order_of_their_numbers(folder):
    from urm_ray.clips import Sampling, decode_clip

    def shades(media) -> list[int]:
        clip = decode_clip(MediaFolder(str(folder)).read(media), Sampling())
        return [round(frame.getpixel((3, 3))[0] / 10) for frame in clip.frames]

    assert shades(Frames(("frames/f_10.jpg", "frames/f_1.jpg"), 2.0)) == [10, 1]
    assert shades(File("frames", "video")) == [1, 2, 10]
    assert shades(Frames(("frames",), 8.0)) == [1, 2, 10]
    assert shades(File("pics/frames/v", "video")) == [9, 11]
    assert MediaFolder(str(folder)).read(Frames(("frames",), 8.0))["fps"] == 8.0


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        (File("nowhere.jpg"), "missing picture"),
        (File("nowhere.mp4", "video"), "missing clip"),
        (File("nowhere", "video"), "missing clip"),
        (Frames(("frames/f_1.jpg", "frames/f_3.jpg")), "missing clip"),
        (File("sub"), "missing picture"),
        (File("cut.jpg"), "undecodable picture"),
        (File("empty.png"), "undecodable picture"),
        (File("clip.mp4"), "undecodable picture"),
        (File("cut.jpg", "video"), "undecodable clip"),
        (Frames(("frames/f_1.jpg", "cut.jpg")), "undecodable clip"),
        (Frames(()), "undecodable clip"),
        (Encoded(b"<html>"), "undecodable picture"),
        (Encoded(b"", "video"), "undecodable clip"),
        (File("../secret.jpg"), "picture outside of the folder"),
        (File("link.jpg"), "picture outside of the folder"),
        (File("root/etc/passwd"), "picture outside of the folder"),
        (File("/etc/passwd"), "picture outside of the folder"),
        (File("../set-too", "video"), "clip outside of the folder"),
        (File("a\0b"), "picture outside of the folder"),
        (File("https://example.org/a.jpg"), "URL is not allowed"),
    ],
    ids=range(20),
)
def test_what_cannot_be_had_says_why_and_where(folder, media, reason):
    with pytest.raises(FieldError) as caught:
        MediaFolder(str(folder)).read(media)
    assert caught.value.reason == reason
    if isinstance(media, File):
        assert media.path in caught.value.detail


def test_a_name_that_is_too_long_costs_its_record(folder):
    with pytest.raises(FieldError, match=r"unreadable picture: .*name too long"):
        MediaFolder(str(folder)).read(File("a" * 5000))


def test_what_is_packed_otherwise_is_told_to_be_unpacked(folder):
    write(folder / "frames_0.tar.gz", b"x")
    with pytest.raises(FieldError, match=r"nowhere\.jpg \(unpack frames_0\.tar\.gz first\)"):
        MediaFolder(str(folder)).read(File("nowhere.jpg"))


@pytest.mark.parametrize("name", ["sub/1.jpg", "5.jpg"])
def test_a_file_that_is_too_long_is_not_read(folder, monkeypatch, name):
    monkeypatch.setattr(media_folder, "MAX_BYTES", 100)
    with pytest.raises(FieldError, match="bytes are more than the 100 allowed"):
        MediaFolder(str(folder)).read(File(name))


def test_frames_that_are_too_many_are_not_read(folder, monkeypatch):
    monkeypatch.setattr(media_folder, "MAX_BYTES", 2 * len(grey(1)) + 100)
    with pytest.raises(FieldError, match="its frames have more than"):
        MediaFolder(str(folder)).read(Frames(("frames",)))


def test_a_draft_becomes_a_row_of_the_schema(folder):
    media = MediaFolder(str(folder))
    draft = pair("s", "k", "image_generation", "p", (File("sub/1.jpg"), Encoded(grey(3))), "second", dimension="d")
    row = media.fill(draft)
    assert isinstance(row, dict)
    assert schema.table_of([row], schema.PREFERENCE).to_pylist() == [row]
    assert check_preference(row) is None
    assert [shade_of(c["media"]) for c in row["candidates"]] == [1, 3]
    assert (row["label"], row["dimension"], row["source"]) == ("second", "d", "s")
    about = point("s", "k", "video_understanding", "q", "an answer", 3, SCALE, [File("clip.mp4", "video")])
    row = media.fill(about)
    assert isinstance(row, dict)
    assert check_preference(row) is None
    assert (row["candidates"], row["context"][0]["frames"]) == ([{"media": None, "text": "an answer"}], 9)


def test_one_bad_picture_costs_the_row(folder):
    draft = pair("s", "k", "image_generation", "p", (File("sub/1.jpg"), File("cut.jpg")), "first")
    found = MediaFolder(str(folder)).fill(draft)
    assert isinstance(found, Rejected)
    assert (found.row_id, found.reason) == (draft["preference_id"], "undecodable picture")


def test_a_clip_that_is_judged_row_after_row_is_read_once(folder, monkeypatch):
    read = []
    media = MediaFolder(str(folder))
    once = media.read
    monkeypatch.setattr(media, "read", lambda one: (read.append(one), once(one))[1])
    clip, other = File("clip.mp4", "video"), File("clips/8.mp4", "video")
    for n, candidate in enumerate([clip, clip, other, other, clip]):
        row = media.fill(point("s", str(n), "video_generation", "p", candidate, 3, SCALE))
        assert isinstance(row, dict)
        assert shade_of(row["candidates"][0]["media"]) == (2 if candidate is clip else 8)
    assert read == [clip, other, clip]


def test_a_broken_archive_and_a_missing_folder_are_one_sentence(folder):
    (folder / "pics.zip.part-ab").unlink()
    with pytest.raises(SourceError, match="a part may be missing"):
        MediaFolder(str(folder)).read(File("5.jpg"))
    assert shade_of(MediaFolder(str(folder)).read(File("sub/1.jpg"))) == 1
    with pytest.raises(SourceError, match="there is no file or folder"):
        MediaFolder(str(folder / "nowhere"))

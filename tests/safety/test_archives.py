"""Archives are read in place: whatever they hold, nothing is written, and no more is unpacked than is allowed."""

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safety.opened import opened
from sources.native import grey, shade_of, write

from urm_ray.media import MediaError
from urm_ray.sources.archives import Archive
from urm_ray.sources.draft import File
from urm_ray.sources.fields import FieldError
from urm_ray.sources.media_folder import MAX_BYTES, MediaFolder
from urm_ray.sources.registry import SourceError

KINDS = {"link": stat.S_IFLNK, "device": stat.S_IFCHR, "block": stat.S_IFBLK, "pipe": stat.S_IFIFO}
HOSTILE = ["../out.jpg", "../../out.jpg", "/out.jpg", "a/../../out.jpg", "C:\\out.jpg", "..\\out.jpg", "//out.jpg"]
HOSTILE += ["a/" * 200 + "out.jpg", "out.jpg\0.txt", ".", "..", "/", "~/out.jpg", "set/../../out.jpg"]


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def pack(path: Path, members: dict[str, bytes], mode: int = stat.S_IFREG) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (mode | 0o777) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


def read_all(root: Path, names: list[str]) -> list[int | str]:
    """What becomes of each name, by itself and below the archive's; nothing may be written meanwhile."""
    before = tree(root.parent)
    found: list[int | str] = []
    with opened(writing=True) as written:
        for name in [place + name for name in names for place in ("", "pack/")]:
            try:
                found.append(shade_of(MediaFolder(str(root)).read(File(name))))
            except FieldError as error:
                found.append(error.reason)
    assert written == []
    assert tree(root.parent) == before
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "outside.jpg", grey(9))
    (tmp_path / "set").mkdir()
    return tmp_path / "set"


def test_members_that_would_lie_elsewhere_are_written_nowhere(root):
    pack(root / "pack.zip", {name: grey(5) for name in HOSTILE} | {"in.jpg": grey(3)})
    found = read_all(root, [*HOSTILE, "in.jpg"])
    assert found[-2:] == [3, 3]
    assert 9 not in found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["../outside.jpg", "/etc/passwd", "/dev/zero"])
def test_members_that_are_links_and_devices_are_the_bytes_that_they_have(root, kind, target):
    pack(root / "pack.zip", {"a.jpg": target.encode()}, KINDS[kind])
    assert read_all(root, ["a.jpg"]) == ["undecodable picture"] * 2


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4, unique=True))
def test_whatever_members_are_called_nothing_is_written(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("zip") / "set"
    root.mkdir()
    try:
        pack(root / "pack.zip", {name: grey(5) for name in names if name})
    except (ValueError, UnicodeEncodeError):
        return  # a name that zipfile itself cannot write
    read_all(root, [name for name in names if name])


def test_a_bomb_is_not_unpacked(root):
    """A member that says that it is long is left; one that lies about it is broken off where it said that it ends."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", b"\0" * (MAX_BYTES + 1))
    write(root / "pack.zip", data.getvalue())
    with pytest.raises(FieldError, match=f"{MAX_BYTES + 1} bytes are more than the {MAX_BYTES} allowed"):
        MediaFolder(str(root)).read(File("bomb.jpg"))
    size = (MAX_BYTES + 1).to_bytes(4, "little")
    lying = data.getvalue().replace(size, (1000).to_bytes(4, "little"))
    assert lying.count((1000).to_bytes(4, "little")) == 2
    write(root / "pack.zip", lying)
    with pytest.raises(FieldError, match="damaged in the archive"):
        MediaFolder(str(root)).read(File("bomb.jpg"))


def test_sizes_and_places_that_cannot_be_are_no_reason_to_read_on(tmp_path):
    pack(tmp_path / "a.zip", {"a.jpg": grey(1)})
    whole = bytearray((tmp_path / "a.zip").read_bytes())
    entry = whole.index(b"PK\x01\x02")
    for at, value in ((42, 0xFFFFFF00), (42, len(whole) - 1), (20, 0x0FFFFFFF), (20, 0xFFFFFF00), (24, 0xFFFFFF00)):
        broken = bytearray(whole)
        broken[entry + at : entry + at + 4] = value.to_bytes(4, "little")
        (tmp_path / "b.zip").write_bytes(broken)
        archive = Archive([tmp_path / "b.zip"])
        member = archive.find("a.jpg")
        try:
            found = archive.read(member, MAX_BYTES) if member is not None else None
        except MediaError:
            continue
        assert found == (grey(1) if value == 0x0FFFFFFF else None)  # what follows the member is not its own
    end = whole.index(b"PK\x05\x06")
    whole[end + 16 : end + 20] = (0).to_bytes(4, "little")
    (tmp_path / "b.zip").write_bytes(whole)
    with pytest.raises(SourceError, match="its listing is not where it should be"):
        Archive([tmp_path / "b.zip"])


def test_other_archives_are_not_unpacked(root):
    import tarfile

    with tarfile.open(root / "pack.tar.gz", "w:gz") as archive:
        for name in ("../out.jpg", "/out.jpg", "in.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(grey(1))
            archive.addfile(info, io.BytesIO(grey(1)))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, os.fspath(root.parent / "outside.jpg")
        archive.addfile(link)
    assert set(read_all(root, ["in.jpg", "link.jpg"])) == {"missing picture"}

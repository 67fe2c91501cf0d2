import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.media import MediaError
from urm_ray.sources.archives import Archive, archives_in
from urm_ray.sources.registry import SourceError

LIMIT = 1 << 20
NAMES = st.text("abü/._-", min_size=1, max_size=6).filter(lambda name: not name.startswith("/") and "//" not in name)


def zipped(files: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def written(folder: Path, data: bytes, parts: int = 1) -> list[Path]:
    step = -(-len(data) // parts)
    paths = [folder / f"a.zip.{i:03d}" for i in range(parts)]
    for i, path in enumerate(paths):
        path.write_bytes(data[i * step : (i + 1) * step])
    return paths


def content(archive: Archive, name: str) -> bytes | None:
    member = archive.find(name)
    return None if member is None else archive.read(member, LIMIT)


@given(
    st.dictionaries(NAMES, st.binary(max_size=300), max_size=6),
    st.integers(1, 4),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_what_was_packed_comes_out_whole_or_in_parts(tmp_path_factory, files, parts, kind):
    archive = Archive(written(tmp_path_factory.mktemp("zip"), zipped(files, kind), parts))
    assert {name: content(archive, name) for name in files} == files
    assert archive.find("not there") is None
    folder = "a"
    direct = sorted(name for name in files if name.rpartition("/")[0] == folder and not name.endswith("/"))
    assert sorted(archive.names(folder)) == direct


def test_names_in_the_old_code_page_are_found(tmp_path):
    data = zipped({"x?.png": b"1"}).replace(b"x?.png", b"x\x81.png")
    assert content(Archive(written(tmp_path, data)), "x\u00fc.png") == b"1"


def test_large_sizes_and_places_are_read_from_their_own_field(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("a", "b"):
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(name.encode() * 1000)
    data = bytearray(buffer.getvalue())
    # As a file over 4 GiB has it: the sizes in the listing are all ones and stand in the zip64 field instead.
    place = data.rfind(b"PK\x01\x02")
    entry = struct.unpack_from("<4s6H3L5H2L", data, place)
    extra = struct.pack("<2H3Q", 1, 24, entry[9], entry[8], entry[16])
    head = struct.pack(
        "<4s6H3L5H2L", *entry[:8], 0xFFFFFFFF, 0xFFFFFFFF, entry[10], len(extra), *entry[12:16], 0xFFFFFFFF
    )
    listing_begin = data.find(b"PK\x01\x02")
    listing = bytes(data[listing_begin:place]) + head + bytes(data[place + 46 : place + 46 + entry[10]]) + extra
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, len(listing), listing_begin)
    where = struct.pack("<4sLQL", b"PK\x06\x07", 0, listing_begin + len(listing), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    whole = bytes(data[:listing_begin]) + listing + end64 + where + end
    archive = Archive(written(tmp_path, whole, 3))
    assert [content(archive, name) for name in ("a", "b")] == [b"a" * 1000, b"b" * 1000]


def test_a_bomb_is_not_unpacked(tmp_path):
    archive = Archive(written(tmp_path, zipped({"bomb": bytes(64 << 20)})))
    member = archive.find("bomb")
    tracemalloc.start()
    with pytest.raises(MediaError, match="67108864 bytes are more than the 1048576 allowed"):
        archive.read(member, LIMIT)
    assert tracemalloc.get_traced_memory()[1] < LIMIT
    tracemalloc.stop()


def test_a_bomb_that_lies_about_its_size_is_stopped_there(tmp_path):
    data = bytearray(zipped({"bomb": bytes(16 << 20)}))
    place = data.rfind(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<L", 100)
    archive = Archive(written(tmp_path, bytes(data)))
    tracemalloc.start()
    with pytest.raises(MediaError, match="damaged"):
        archive.read(archive.find("bomb"), LIMIT)
    assert tracemalloc.get_traced_memory()[1] < LIMIT
    tracemalloc.stop()


@pytest.mark.parametrize("place", [40, 60])
def test_damaged_bytes_are_found(tmp_path, place):
    data = bytearray(zipped({"a": bytes(range(256)) * 4}, zipfile.ZIP_STORED))
    data[place] ^= 0xFF
    archive = Archive(written(tmp_path, bytes(data)))
    with pytest.raises(MediaError, match="damaged"):
        archive.read(archive.find("a"), LIMIT)


def test_other_ways_of_packing_say_so(tmp_path):
    archive = Archive(written(tmp_path, zipped({"a": b"x" * 99}, zipfile.ZIP_LZMA)))
    with pytest.raises(MediaError, match="method 14 and has to be unpacked first"):
        archive.read(archive.find("a"), LIMIT)


def test_an_encrypted_member_says_so(tmp_path):
    data = bytearray(zipped({"a": b"x"}))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    archive = Archive(written(tmp_path, bytes(data)))
    with pytest.raises(MediaError, match="encrypted"):
        archive.read(archive.find("a"), LIMIT)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_part_is_one_sentence(tmp_path, missing):
    paths = written(tmp_path, zipped({f"{n}.png": bytes([n]) * 200 for n in range(20)}, zipfile.ZIP_STORED), 3)
    with pytest.raises(SourceError, match=r"the archive .*a\.zip.* cannot be read: .*a part may be missing"):
        Archive([path for i, path in enumerate(paths) if i != missing])


@pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_one_sentence(tmp_path, data):
    with pytest.raises(SourceError, match="cannot be read"):
        Archive(written(tmp_path, data))


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_no_bytes_make_it_fail_in_another_way(tmp_path_factory, tail, place, value):
    data = bytearray(zipped({"a": b"abc" * 20, "b/c": b"x"}) + tail)
    data[place % len(data)] = value
    try:
        archive = Archive(written(tmp_path_factory.mktemp("zip"), bytes(data)))
        content(archive, "a")
        archive.names("b")
    except (SourceError, MediaError):
        pass


def test_parts_are_put_in_the_order_of_their_numbers():
    names = ["d/a.zip.part-ab", "d/a.zip.part-aa", "b.zip.010", "b.zip.009", "c.zip", "c.zip.sha256", "e.ZIP", "x.jpg"]
    assert archives_in([*names, "f.zip.part10", "f.zip.part9"]) == {
        "d/a.zip": ["d/a.zip.part-aa", "d/a.zip.part-ab"],
        "b.zip": ["b.zip.009", "b.zip.010"],
        "c.zip": ["c.zip"],
        "e.ZIP": ["e.ZIP"],
        "f.zip": ["f.zip.part9", "f.zip.part10"],
    }

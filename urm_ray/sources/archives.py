"""Zip files read in place, whole or split into parts, with an index that stays small and sizes that stay bounded.

What a zip file holds is listed once and kept as numbers, 60 bytes a member: data sets come with a million frames.
Stored and deflated members are read, zip64 included; others have to be unpacked first.
"""

from __future__ import annotations

import bisect
import hashlib
import posixpath
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from urm_ray.media import MediaError
from urm_ray.sources.registry import SourceError

_MEMBER = np.dtype(
    [
        ("name", "u8"),
        ("folder", "u8"),
        ("header", "u8"),
        ("packed", "u8"),
        ("size", "u8"),
        ("crc", "u4"),
        ("method", "u2"),
        ("flags", "u2"),
    ]
)
_END = struct.Struct("<4s4H2LH")
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 1
_STORED, _DEFLATED = 0, 8
_PIECE = 4 << 20
_LONGEST_ENTRY = _ENTRY.size + 3 * 0xFFFF


class Parts:
    """Files that follow one another, read as one."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.ends: list[int] = []
        for file in files:
            self.ends.append((self.ends[-1] if self.ends else 0) + file.stat().st_size)

    @property
    def size(self) -> int:
        return self.ends[-1]

    def read(self, begin: int, count: int) -> bytes:
        """The bytes [begin, begin + count), fewer at the end."""
        pieces = []
        while count > 0 and begin < self.size:
            number = bisect.bisect_right(self.ends, begin)
            own = begin - (self.ends[number - 1] if number else 0)
            with self.files[number].open("rb") as stream:
                stream.seek(own)
                piece = stream.read(min(count, self.ends[number] - begin))
            if not piece:
                break
            pieces.append(piece)
            begin, count = begin + len(piece), count - len(piece)
        return b"".join(pieces)


class Archive:
    """A zip file. SourceError if its listing cannot be read, as when its last part is missing."""

    def __init__(self, files: list[Path]) -> None:
        self.parts = Parts(files)
        try:
            place, size, count = self._listing()
            self.members = np.sort(np.fromiter(self._entries(place, size), _MEMBER), order=("name", "header"))
        except (struct.error, ValueError) as error:
            raise SourceError(f"the archive {files[0]} cannot be read: {error}") from None
        if (len(self.members) - count) % (1 << 16):  # old programs count no further
            raise SourceError(f"the archive {files[0]} lists {len(self.members)} files and not {count}")
        self._by_folder = np.argsort(self.members["folder"], kind="stable")
        self._folders = self.members["folder"][self._by_folder]

    def find(self, name: str) -> np.void | None:
        """The member of this name."""
        for code in ("utf-8", "cp437"):  # programs differ in how they write names, and do not all say so
            try:
                raw = name.encode(code)
            except UnicodeEncodeError:
                continue
            key = _hash(raw)
            number = int(np.searchsorted(self.members["name"], key))
            while number < len(self.members) and self.members[number]["name"] == key:
                if self._name(self.members[number]) == raw:
                    return self.members[number]
                number += 1
        return None

    def names(self, folder: str) -> list[str]:
        """Names of the members that lie in a folder itself, in ASCII or UTF-8."""
        raw = folder.encode(errors="surrogateescape")
        first, last = (
            np.searchsorted(self._folders, _hash(raw), "left"),
            np.searchsorted(self._folders, _hash(raw), "right"),
        )
        found = [self._name(self.members[number]) for number in self._by_folder[first:last]]
        return [
            name.decode("utf-8", "replace") for name in found if posixpath.dirname(name) == raw and name[-1:] != b"/"
        ]

    def read(self, member: np.void, limit: int) -> bytes:
        """The bytes of a member; MediaError if they are more than `limit`, damaged, or packed in another way."""
        size, packed = int(member["size"]), int(member["packed"])
        if max(size, packed) > limit:
            raise MediaError(f"{max(size, packed)} bytes are more than the {limit} allowed")
        if member["flags"] & _ENCRYPTED:
            raise MediaError("it is encrypted")
        header = self._header(member)
        if header is None:
            raise MediaError("it is damaged in the archive")
        data = self.parts.read(int(member["header"]) + _HEADER.size + sum(header), packed)
        if member["method"] == _DEFLATED:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
            except zlib.error:
                raise MediaError("it is damaged in the archive") from None
        elif member["method"] != _STORED:
            raise MediaError(f"it is packed by method {member['method']} and has to be unpacked first")
        if len(data) != size or zlib.crc32(data) != member["crc"]:
            raise MediaError("it is damaged in the archive")
        return data

    def _header(self, member: np.void) -> tuple[int, int] | None:
        """Bytes of the name, and of what else follows a member's own header; None where that is damaged."""
        data = self.parts.read(int(member["header"]), _HEADER.size)
        if len(data) < _HEADER.size or not data.startswith(b"PK\x03\x04"):
            return None
        *_, name, extra = _HEADER.unpack(data)
        return name, extra

    def _name(self, member: np.void) -> bytes:
        header = self._header(member)
        return self.parts.read(int(member["header"]) + _HEADER.size, header[0]) if header else b""

    def _listing(self) -> tuple[int, int, int]:
        """(place, bytes, entries) of the listing, from the record at the end."""
        begin = max(0, self.parts.size - _END.size - 0xFFFF - _END64_PLACE.size)
        tail = self.parts.read(begin, self.parts.size - begin)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0:
            raise ValueError("it does not end as a zip file does; a part may be missing")
        *_, count, size, place, _ = _END.unpack_from(tail, at)
        end = begin + at
        before = tail[max(0, at - _END64_PLACE.size) : at]
        if before.startswith(b"PK\x06\x07"):
            end = _END64_PLACE.unpack(before)[2]
            count, size, place = _END64.unpack(self.parts.read(end, _END64.size))[7:]
        if place + size != end:
            raise ValueError("its listing is not where it should be; a part may be missing")
        return place, size, count

    def _entries(self, place: int, size: int) -> Iterator[tuple[int, ...]]:
        end, data, at = place + size, b"", 0
        while at < len(data) or place < end:
            if len(data) - at < _LONGEST_ENTRY and place < end:
                piece = self.parts.read(place, min(_PIECE, end - place))
                if not piece:
                    raise ValueError("it is cut short; a part may be missing")
                data, at, place = data[at:] + piece, 0, place + len(piece)
            fields = _ENTRY.unpack_from(data, at)
            if fields[0] != b"PK\x01\x02":
                raise ValueError("its listing is broken")
            flags, method, crc, packed, unpacked = fields[3], fields[4], *fields[7:10]
            name_end = at + _ENTRY.size + fields[10]
            name, extra = data[at + _ENTRY.size : name_end], data[name_end : name_end + fields[11]]
            unpacked, packed, header = _wide(extra, [unpacked, packed, fields[16]])
            yield _hash(name), _hash(posixpath.dirname(name)), header, packed, unpacked, crc, method, flags
            at = name_end + fields[11] + fields[12]


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """Sizes and places; those that do not fit into 32 bits are in the zip64 field, in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            numbers = iter(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
            return [next(numbers, value) if value == 0xFFFFFFFF else value for value in values]
        at += 4 + length
    return values


def _hash(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


_PART = re.compile(r"(.+\.zip)\.(?:part[-_.]?)?([0-9]+|[a-z]{1,3})", re.IGNORECASE)


def archives_in(files: list[str]) -> dict[str, list[str]]:
    """Of some file names the zip archives: FOLDER/NAME.zip with its files in order, one or its parts (NAME.zip.part-aa,
    NAME.zip.001, ...)."""
    whole = {name: [name] for name in files if name.lower().endswith(".zip")}
    parts: dict[str, list[tuple[int, str, str]]] = {}
    for name in files:
        if found := _PART.fullmatch(name):
            number = found[2].lower()
            parts.setdefault(found[1], []).append((int(number) if number.isdigit() else 0, number, name))
    return {name: [file for *_, file in sorted(own)] for name, own in parts.items()} | whole

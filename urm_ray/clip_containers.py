"""Whether the file of a clip is all there, by the sizes that its container states.

A decoder reads what is left of a cut file as a shorter clip, and nobody would know.
"""

from __future__ import annotations

_BOXES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"sidx", b"free", b"skip", b"wide", b"uuid", b"udta"}
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def cut_short(data: bytes) -> bool:
    """Whether an mp4 or mov, a Matroska or WebM, or an AVI states that it is longer than it is.

    What states no size, as a stream does, and other containers are never called cut.
    """
    if data[4:8] in _BOXES:
        return _boxes_end(data) > len(data)
    if data[:4] == _EBML:
        return _segment_end(data) > len(data)
    return data[:4] == b"RIFF" and 8 + int.from_bytes(data[4:8], "little") > len(data)


def _boxes_end(data: bytes) -> int:
    """Where the last box of an ISO file ends; what is behind the known ones is not looked at."""
    at = 0
    while len(data) - at >= 8 and data[at + 4 : at + 8] in _BOXES:
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:  # a longer number follows
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:  # up to the end of the file
            return len(data)
        at += max(size, 8)
    return at


def _segment_end(data: bytes) -> int:
    """Where the segment of a Matroska file ends; 0 where it does not say."""
    size, at = _number(data, 4)
    at += size
    if data[at : at + 4] != _SEGMENT:
        return 0
    size, begin = _number(data, at + 4)
    return begin + size


def _number(data: bytes, at: int) -> tuple[int, int]:
    """An EBML number, 0 where it is unknown, and where it ends."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    bits = 7 * length
    value = int.from_bytes(data[at : at + length], "big") & ((1 << bits) - 1)
    return (0 if value == (1 << bits) - 1 else value), at + length

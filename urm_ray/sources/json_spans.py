"""Where the records of a JSON file begin and end, found in one pass and in bounded memory.

A file is a list of objects, an object with such a list in it, or an object a line. Only quotes and brackets are looked
at: whether a span is JSON is seen when it is parsed, so that one broken record costs that record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Literal

Form = Literal["list", "lines"]
Span = tuple[int, int]
"""A record's first byte and the byte after its last; there may be blanks at its ends."""

CHUNK = 1 << 20
DEEPEST = 1000
_OPENS = {b"]": b"[", b"}": b"{"}
_BOM = b"\xef\xbb\xbf"
_IN_STRING = re.compile(rb'["\\]')
_STRUCTURE = re.compile(rb'["\[\]{},]')
_SOMETHING = re.compile(rb"[^ \t\r\n]")
_TO_LIST = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*\[")


class SpanError(ValueError):
    """A file that holds no records as far as can be seen, or a list that ends where it should not: from `begin` on."""

    def __init__(self, message: str, begin: int = 0) -> None:
        super().__init__(message)
        self.begin = begin


def find_records(stream: BinaryIO, inside: str | None = None) -> tuple[Form, int]:
    """Which form a file has, and the byte at which its first record or the blanks before it begin; SpanError.

    inside: the key of the one object that the file holds, whose list the records are; the list begins in the file's
    first 1 MiB.
    """
    stream.seek(0)
    head = stream.read(CHUNK)
    first = _SOMETHING.search(head, len(_BOM) if head.startswith(_BOM) else 0)
    if first is None:
        raise SpanError("it is empty")
    if head[first.start()] == ord("["):
        return "list", first.end()
    if inside is not None:
        return "list", _list_inside(head, first.start(), inside)
    lines = [line.strip() for line in head[first.start() :].split(b"\n")]
    if lines[0] == b"{" or not any(line.startswith(b"{") for line in lines):
        raise SpanError("it is neither a list of objects nor an object a line")
    return "lines", first.start()


def _list_inside(head: bytes, begin: int, key: str) -> int:
    """The byte after the bracket that opens the list under a key of the outermost object."""
    depth, at = 0, begin
    while found := _STRUCTURE.search(head, at):
        at = found.end()
        if found[0] in b"[{":
            depth += 1
        elif found[0] in b"]}":
            depth -= 1
        elif found[0] == b'"':
            while (quote := _IN_STRING.search(head, at)) and quote[0] == b"\\":
                at = quote.end() + 1
            at = quote.end() if quote else len(head)
            opened = _TO_LIST.match(head, at)
            if depth == 1 and opened and head[found.end() : at - 1] == key.encode():
                return opened.end()
    raise SpanError(f"it holds no object with a list {key!r}")


def list_spans(
    stream: BinaryIO, begin: int, end: int | None = None, alone: bool = True, chunk: int = CHUNK
) -> Iterator[Span]:
    """The items of a list from the byte after its opening bracket on; of a part of it up to `end` where that is given.

    SpanError after the last whole item where the list is not closed, or where more follows it although it is `alone`.
    """
    opened = bytearray()  # the brackets that are open
    in_string, closed, blank, skip, start = False, False, True, 0, begin
    for base, data in _chunks(stream, begin, end, chunk):
        at, skip = skip, 0
        while not closed and (found := (_IN_STRING if in_string else _STRUCTURE).search(data, at)):
            at, sign = found.end(), found[0]
            if sign == b"\\":
                at += 1  # whatever the next byte is, it ends no string
            elif sign == b'"':
                in_string = not in_string
            elif sign in b"[{":
                opened += sign
                if len(opened) > DEEPEST:
                    raise SpanError(f"more than {DEEPEST} brackets are open", start)
            elif sign in b"]}" and opened:
                # One that was left open inside goes with it, so that it costs its own record and not the next.
                place = opened.rfind(_OPENS[sign])
                del opened[place if place >= 0 else len(opened) :]
            elif sign == b"}":
                raise SpanError("a bracket is closed that is not open", start)
            elif not opened:
                blank = blank and not _SOMETHING.search(data, max(0, start - base), found.start())
                closed = sign == b"]"
                if not (blank and closed):
                    yield start, base + found.start()
                start, blank = base + at, True
        if closed and not alone:
            return
        skip = max(0, at - len(data))
        blank = blank and not _SOMETHING.search(data, max(0, start - base))
        if closed and not blank:
            raise SpanError("more follows the list of records", start)
    if closed or (end is not None and blank):
        return
    if end is None:
        raise SpanError("the list of records is not closed", start)
    yield start, end


def line_spans(stream: BinaryIO, begin: int, end: int | None = None, chunk: int = CHUNK) -> Iterator[Span]:
    """Every line, blank ones too, without its line feed."""
    start = last = begin
    for base, data in _chunks(stream, begin, end, chunk):
        at = 0
        while (feed := data.find(b"\n", at)) >= 0:
            yield start, base + feed
            start, at = base + feed + 1, feed + 1
        last = base + len(data)
    if last > start:
        yield start, last


def _chunks(stream: BinaryIO, begin: int, end: int | None, size: int) -> Iterator[tuple[int, bytes]]:
    """(place, bytes) of the pieces of [begin, end); the stream may be moved in between."""
    while end is None or begin < end:
        stream.seek(begin)
        data = stream.read(size if end is None else min(size, end - begin))
        if not data:
            return
        yield begin, data
        begin += len(data)

"""Pictures as other programs write them, and files that are not the pictures that they seem to be."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LITTLE = 1 << 16


def ramp(width: int = 24, height: int = 16) -> Image.Image:
    """A picture no two of whose rows and columns are equal."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return Image.fromarray(np.stack([10 * x % 256, 15 * y % 256, 5 * (x + y) % 256], -1).astype(np.uint8))


def encoded(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or ramp()).save(buffer, form, **options)
    return buffer.getvalue()


def grey_of_16_bits() -> bytes:
    """Levels from black to white in steps that 8 bits do not have."""
    return encoded("PNG", Image.fromarray(np.linspace(0, 65535, 24 * 16).reshape(16, 24).astype(np.uint16)))


def turned(orientation: int) -> bytes:
    """A JPEG that EXIF says to turn."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded("JPEG", exif=exif, quality=95)


def moving(form: str) -> bytes:
    frames = [ramp(), ramp().rotate(180), ramp().rotate(180)]
    return encoded(form, frames[0], save_all=True, append_images=frames[1:], duration=100)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG that says to be of this size, with any compressed data in it."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return _SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@cache
def zeros(count: int) -> bytes:
    """So many zero bytes, compressed a thousandfold."""
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(min(_LITTLE, count - n))) for n in range(0, count, _LITTLE)]
    return b"".join([*parts, packer.flush()])


def black(width: int, height: int) -> bytes:
    """A real PNG of any size in black, of one bit a pixel: a bomb where it is large."""
    return png(width, height, zeros((1 + -(-width // 8)) * height), depth=1, colour=0)


def ramp_with(extra: bytes) -> bytes:
    """`ramp` as PNG with further chunks in front of its pixels."""
    data = encoded("PNG")
    return data[:33] + extra + data[33:]


def webp_claiming(side: int) -> bytes:
    """A WebP without loss that says to be this wide and high."""
    data = bytearray(encoded("WEBP", lossless=True))
    bits = int.from_bytes(data[21:25], "little") >> 28 << 28
    data[21:25] = (bits | (side - 1) << 14 | (side - 1)).to_bytes(4, "little")
    return bytes(data)


def jpeg_claiming(side: int) -> bytes:
    data = bytearray(encoded("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(data)

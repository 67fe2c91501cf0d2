"""Encoded bytes to pictures and back, with size limits. The only place that decodes."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_PIXELS = 64_000_000
MAX_RATIO = 200
"""Times that a picture or frame may be longer than wide, or wider than long; models of the Qwen family take no more."""
_FORMATS = ("PNG", "JPEG", "WEBP")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its orientation in EXIF."""
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on damaged bytes."""


class MediaError(ValueError):
    """Bytes that are not a picture or clip we accept; the message says why in one sentence."""


def encode_image(image: Image.Image) -> dict[str, Any]:
    """A `schema.MEDIA` row holding the picture as PNG (RGB); equal pixels give equal bytes."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", compress_level=1)
    return image_record(buffer.getvalue(), image.width, image.height)


def image_record(data: bytes, width: int, height: int) -> dict[str, Any]:
    """A `schema.MEDIA` row for an encoded picture."""
    return {
        "kind": "image",
        "data": data,
        "uri": None,
        "width": width,
        "height": height,
        "frames": 1,
        "fps": None,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def decode_image(media: dict[str, Any] | None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture (RGB) of a `schema.MEDIA` row; MediaError where there is none to be had.

    It is upright, as its EXIF says and viewers show it; of one that moves it is the first frame. What is transparent
    shows the colours that are stored there.
    """
    if media is None or not media.get("data"):
        raise MediaError("no picture")
    if media.get("kind") != "image":
        raise MediaError(f"not an image but {media.get('kind')!r}")
    try:
        check_size(*_claimed(media["data"]), max_pixels)
        image = Image.open(io.BytesIO(media["data"]), formats=_FORMATS)
        check_size(image.width, image.height, max_pixels)
        return _upright(_eight_bits(image).convert("RGB"), image)
    except MediaError:
        raise
    except UnidentifiedImageError:
        raise MediaError(f"the bytes are not a picture in {', '.join(_FORMATS)}") from None
    except Image.DecompressionBombError:
        raise MediaError(f"more pixels than the {max_pixels} allowed") from None
    except _BROKEN as error:
        raise MediaError(f"the picture does not decode: {error}") from None


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """MediaError for more pixels than are allowed, or for a strip that models would refuse."""
    if width * height > max_pixels:
        raise MediaError(f"{width} x {height} pixels are more than the {max_pixels} allowed")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise MediaError(f"{width} x {height} pixels: one side is more than {MAX_RATIO} times the other")


def _claimed(data: bytes) -> tuple[int, int]:
    """Width and height that a PNG or WebP claims; (1, 1) of others, whose first bytes do not tell.

    libwebp takes memory for all of them as soon as a file is opened.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        sides = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    elif data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        sides = 1, 1
    elif data[12:16] == b"VP8X":
        sides = 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    elif data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        sides = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        sides = int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return max(1, sides[0]), max(1, sides[1])


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits scaled down; Pillow would cut it off at 255, which is almost all of it."""
    if not image.mode.startswith("I;16"):
        return image
    image.load()  # raises what is wrong with it, which numpy may not pass on
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _upright(picture: Image.Image, opened: Image.Image) -> Image.Image:
    """The picture turned as the EXIF of the opened file says; as it is where that says nothing or is broken."""
    try:
        turn = _UPRIGHT.get(opened.getexif().get(ExifTags.Base.Orientation, 1))
    except _BROKEN:
        turn = None
    return picture if turn is None else picture.transpose(turn)


def read_image(data: bytes) -> dict[str, Any]:
    """A `schema.MEDIA` row for encoded bytes from outside, checked by decoding them once; else MediaError."""
    image = decode_image({"kind": "image", "data": data})
    return image_record(data, image.width, image.height)

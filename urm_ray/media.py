"""Encoded bytes to pictures and back, with size limits. The only place that decodes."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 64_000_000
_FORMATS = ("PNG", "JPEG", "WEBP")


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
    """The picture (RGB) of a `schema.MEDIA` row; MediaError where there is none to be had."""
    if media is None or not media.get("data"):
        raise MediaError("no picture")
    if media.get("kind") != "image":
        raise MediaError(f"not an image but {media.get('kind')!r}")
    try:
        image = Image.open(io.BytesIO(media["data"]), formats=_FORMATS)
        if image.width * image.height > max_pixels:
            raise MediaError(f"{image.width} x {image.height} pixels are more than the {max_pixels} allowed")
        return image.convert("RGB")
    except MediaError:
        raise
    except UnidentifiedImageError:
        raise MediaError(f"the bytes are not a picture in {', '.join(_FORMATS)}") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"the picture does not decode: {error}") from None


def read_image(data: bytes) -> dict[str, Any]:
    """A `schema.MEDIA` row for encoded bytes from outside, checked by decoding them once; else MediaError."""
    image = decode_image({"kind": "image", "data": data})
    return image_record(data, image.width, image.height)

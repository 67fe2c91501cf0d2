import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from urm_ray.media import MediaError, decode_image, encode_image, image_record, read_image

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
FORMATS = ("PNG", "JPEG", "WEBP")


def encoded(form: str, image: Image.Image | None = None) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(buffer, form)
    return buffer.getvalue()


def media(data: bytes | None, kind: str = "image") -> dict:
    return image_record(data or b"", 30, 20) | {"data": data, "kind": kind}


def test_pixels_survive_a_record():
    record = encode_image(Image.fromarray(PIXELS))
    assert (record["kind"], record["width"], record["height"], record["frames"]) == ("image", 30, 20, 1)
    assert np.array_equal(np.asarray(decode_image(record)), PIXELS)


def test_equal_pixels_give_equal_bytes_and_digests():
    other = PIXELS.copy()
    assert encode_image(Image.fromarray(other)) == encode_image(Image.fromarray(PIXELS))
    other[0, 0, 0] ^= 1
    assert encode_image(Image.fromarray(other))["sha256"] != encode_image(Image.fromarray(PIXELS))["sha256"]


@pytest.mark.parametrize("form", FORMATS)
def test_bytes_from_outside_are_kept_as_they_are(form):
    data = encoded(form)
    record = read_image(data)
    assert record["data"] == data
    assert (record["width"], record["height"]) == (30, 20)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA", "I;16"])
def test_every_kind_of_picture_comes_out_as_rgb(mode):
    form = "JPEG" if mode == "CMYK" else "PNG"
    image = (
        Image.fromarray(PIXELS[..., 0].astype(np.uint16)) if mode == "I;16" else Image.fromarray(PIXELS).convert(mode)
    )
    decoded = decode_image(media(encoded(form, image)))
    assert (decoded.mode, decoded.size) == ("RGB", (30, 20))


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_picture_is_an_error_and_not_a_grey_one(form):
    data = encoded(form)
    with pytest.raises(MediaError, match=r"does not decode|not a picture"):
        decode_image(media(data[: len(data) * 2 // 3]))


@pytest.mark.parametrize("data", [b"", None])
def test_no_bytes_are_no_picture(data):
    with pytest.raises(MediaError, match="no picture"):
        decode_image(media(data))
    with pytest.raises(MediaError, match="no picture"):
        decode_image(None)


@pytest.mark.parametrize(
    "data", [b"<html>404 not found</html>", b"\x00" * 100, b"GIF89a" + b"\x00" * 50, b"\x89PNG\r\n\x1a\n"]
)
def test_bytes_that_are_no_picture_are_named_so(data):
    with pytest.raises(MediaError, match="not a picture in PNG, JPEG, WEBP"):
        read_image(data)


def test_a_format_that_is_not_accepted_is_refused():
    with pytest.raises(MediaError, match="not a picture"):
        read_image(encoded("BMP"))


@pytest.mark.parametrize("kind", ["video", "text", None])
def test_another_kind_of_media_is_not_a_picture(kind):
    with pytest.raises(MediaError, match=f"not an image but {kind!r}"):
        decode_image(media(encoded("PNG"), kind))


def test_the_limit_of_pixels_is_exact():
    data = encoded("PNG")
    assert decode_image(media(data), max_pixels=600).size == (30, 20)
    with pytest.raises(MediaError, match="30 x 20 pixels are more than the 599 allowed"):
        decode_image(media(data), max_pixels=599)


@pytest.mark.parametrize("side", [9_000, 20_000, 2**31 - 1])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_unpacked(side):
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    with pytest.raises(MediaError):
        read_image(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b""))


@given(
    st.sampled_from(FORMATS),
    st.integers(0, 2000),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
)
def test_damaged_bytes_are_a_picture_or_a_media_error(form, length, changes):
    data = bytearray(encoded(form)[: max(1, length)])
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(MediaError):
        assert decode_image(media(bytes(data))).mode == "RGB"

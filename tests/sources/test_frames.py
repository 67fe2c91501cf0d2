import io

import numpy as np
import pytest
from PIL import Image

from urm_ray.clips import Sampling, decode_clip
from urm_ray.media import MediaError, encode_image
from urm_ray.sources import frames
from urm_ray.sources.frames import clip_of


def picture(shade: int, size: tuple[int, int] = (48, 32), mode: str = "RGB") -> Image.Image:
    """A slope in one shade, smooth enough for JPEG."""
    slope = np.linspace(0, 60, size[0])[None, :, None].repeat(size[1], 0).repeat(3, 2)
    return Image.fromarray((slope + shade).clip(0, 255).astype(np.uint8)).convert(mode)


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    return encode_image(image)["data"]


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), int)


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}, {"optimize": True}]
)
@pytest.mark.parametrize("size", [(48, 32), (37, 21)])
def test_jpeg_frames_are_kept_byte_for_byte_and_seen_as_they_are(options, size):
    images = [picture(shade, size) for shade in (0, 60, 120, 180)]
    data = [jpeg(image, **options) for image in images]
    clip = clip_of(data, 2.0)
    assert all(one in clip["data"] for one in data)
    assert (clip["kind"], clip["width"], clip["height"], clip["frames"], clip["fps"]) == ("video", *size, 4, 2.0)
    found = decode_clip(clip, Sampling())
    assert found.times == [0.0, 0.5, 1.0, 1.5]
    for frame, image in zip(found.frames, images, strict=True):
        assert np.abs(pixels(frame) - pixels(image)).mean() < 3


def test_grey_frames_are_kept_too():
    data = [jpeg(picture(shade, mode="L")) for shade in (0, 90)]
    clip = clip_of(data, 1.0)
    assert all(one in clip["data"] for one in data)
    assert np.abs(pixels(decode_clip(clip, Sampling()).frames[1]) - pixels(picture(90, mode="L"))).mean() < 3


@pytest.mark.parametrize("mixed", [False, True])
def test_other_frames_keep_every_pixel(mixed):
    images = [picture(shade) for shade in (0, 60, 120)]
    data = [jpeg(images[0]) if mixed else png(images[0]), *map(png, images[1:])]
    found = decode_clip(clip_of(data, 8.0), Sampling())
    for frame, one in zip(found.frames, data, strict=True):
        assert (pixels(frame) == pixels(Image.open(io.BytesIO(one)))).all()


def test_colours_for_print_are_not_taken_for_screen_colours():
    data = [jpeg(picture(shade, mode="CMYK")) for shade in (0, 90)]
    found = decode_clip(clip_of(data, 1.0), Sampling())
    assert np.abs(pixels(found.frames[1]) - pixels(Image.open(io.BytesIO(data[1])))).max() == 0


@pytest.mark.parametrize("encode", [jpeg, png])
def test_equal_frames_give_equal_bytes(encode):
    data = [encode(picture(shade)) for shade in (0, 90)]
    assert clip_of(data, 3.0) == clip_of(list(data), 3.0)
    assert clip_of(data, 3.0)["data"] != clip_of(data[::-1], 3.0)["data"]


def test_one_frame_is_a_clip():
    assert clip_of([jpeg(picture(0))], 1.0)["frames"] == 1


GOOD = jpeg(picture(0))


@pytest.mark.parametrize(
    ("data", "fps", "problem"),
    [
        ([], 1.0, "no frames"),
        ([GOOD], 0.0, r"0\.0 frames a second"),
        ([GOOD], float("nan"), "nan frames a second"),
        ([GOOD, b"<html>"], 1.0, "frame 2: the bytes are not a picture"),
        ([GOOD, GOOD[:300], GOOD], 1.0, "frame 2: the picture does not decode"),
        ([GOOD, GOOD, b""], 1.0, "frame 3: no picture"),
        ([GOOD, jpeg(picture(0, (32, 48)))], 1.0, "frame 2 has 32 x 48 pixels and not 48 x 32"),
        ([png(picture(0)), png(picture(0, (32, 48)))], 1.0, "frame 2 has 32 x 48 pixels and not 48 x 32"),
    ],
)
def test_frames_that_make_no_clip_say_which_and_why(data, fps, problem):
    with pytest.raises(MediaError, match=problem):
        clip_of(data, fps)


@pytest.mark.parametrize("encode", [jpeg, png])
def test_more_pixels_than_are_allowed_are_not_held(monkeypatch, encode):
    monkeypatch.setattr(frames.Limits, "pixels", 1000)
    monkeypatch.setattr(frames.Limits, "all_pixels", 4000)
    with pytest.raises(MediaError, match="more than are allowed"):
        clip_of([encode(picture(0))] * 3, 1.0)

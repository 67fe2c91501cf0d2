"""A clip made of pictures: JPEG frames go into it as they are, byte for byte, others without loss."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
from PIL import Image

from urm_ray.clips import Limits, clip_record, encode_clip, read_clip
from urm_ray.media import MediaError, decode_image, image_record

_LAYOUTS = {0xC0, 0xC1, 0xC2}
"""JPEG markers with the picture's layout: baseline, extended and progressive."""


def clip_of(frames: Sequence[bytes], fps: float) -> dict[str, Any]:
    """A `schema.MEDIA` row of a clip whose frames are these encoded pictures; equal frames give equal bytes.

    JPEG frames become a Motion-JPEG stream in mp4, others are encoded anew without loss. MediaError if a frame does
    not decode, or if their sizes differ.
    """
    if not frames:
        raise MediaError("no frames")
    if not 0 < fps <= 1000:
        raise MediaError(f"{fps} frames a second")
    jpeg = all(_channels(frame) in (1, 3) for frame in frames)
    images: list[Image.Image] = []
    size = (0, 0)
    for number, frame in enumerate(frames, start=1):
        try:
            image = decode_image(image_record(frame, 0, 0))
        except MediaError as error:
            raise MediaError(f"frame {number}: {error}") from None
        if number > 1 and image.size != size:
            raise MediaError(f"frame {number} has {image.width} x {image.height} pixels and not {size[0]} x {size[1]}")
        size = image.size
        if size[0] * size[1] * (1 if jpeg else len(frames)) > (Limits.pixels if jpeg else Limits.all_pixels):
            raise MediaError(f"{len(frames)} frames of {size[0]} x {size[1]} pixels are more than are allowed")
        if not jpeg:
            images.append(image)
    if not jpeg:
        return encode_clip(images, fps)
    data = _motion_jpeg(frames, size, Fraction(fps).limit_denominator(1001))
    read_clip(data)
    return clip_record(data, *size, len(frames), fps)


def _motion_jpeg(frames: Sequence[bytes], size: tuple[int, int], rate: Fraction) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mjpeg", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p"
        stream.codec_context.time_base = 1 / rate
        for number, frame in enumerate(frames):
            packet = av.Packet(frame)
            packet.stream, packet.time_base, packet.is_keyframe = stream, 1 / rate, True
            packet.pts, packet.dts, packet.duration = number, number, 1
            container.mux(packet)
    return buffer.getvalue()


def _channels(data: bytes) -> int | None:
    """How many channels a JPEG picture has; None for what is none."""
    at = 2
    if not data.startswith(b"\xff\xd8"):
        return None
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _LAYOUTS:
            return data[at + 9]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None

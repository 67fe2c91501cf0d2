"""Clips as other programs write them: codecs, containers, rates, and streams that are not what they should be."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


def shades(count: int, width: int = 48, height: int = 32) -> list[Image.Image]:
    """Frames of one grey each, 20 levels apart and starting at 20."""
    return [Image.new("RGB", (width, height), (20 + 20 * i % 230,) * 3) for i in range(count)]


def shade_numbers(frames: Sequence[Image.Image]) -> list[int]:
    """Which of `shades` these are, also after a codec with loss."""
    return [round((float(np.asarray(frame).mean()) - 20) / 20) for frame in frames]


def noise(count: int, width: int = 48, height: int = 32) -> list[Image.Image]:
    dice = np.random.default_rng(width * 1000 + count)
    return [Image.fromarray(p) for p in dice.integers(0, 255, (count, height, width, 3), dtype=np.uint8)]


def video_file(
    frames: Sequence[Image.Image],
    codec: str = "libx264",
    form: str = "mp4",
    pixels: str = "yuv420p",
    starts_ms: Sequence[int] | None = None,
    sound: bool = False,
) -> bytes:
    """A clip at 8 frames a second, or with frames that start at these milliseconds; without frames, sound alone."""
    buffer = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"} if form == "mp4" and not starts_ms else {}
    with av.open(buffer, "w", format=form, options=options) as container:
        if frames:
            stream = container.add_stream(codec, rate=1000 if starts_ms else 8)
            stream.width, stream.height, stream.pix_fmt = *frames[0].size, pixels
        audio = container.add_stream("aac", rate=16000) if sound else None
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_image(frame)
            if starts_ms:
                picture.pts, picture.time_base = starts_ms[i], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        if frames:
            container.mux(stream.encode(None))
        if audio is not None:
            for i in range(20):
                piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                piece.sample_rate, piece.pts = 16000, i * 1024
                container.mux(audio.encode(piece))
            container.mux(audio.encode(None))
    return buffer.getvalue()


def children() -> list[int]:
    """The decoding processes of this one."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and b"urm_ray.clip_decoder" in (entry / "cmdline").read_bytes():
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                found += [int(entry.name)] if parent == os.getpid() else []
    return found


def empty_clip() -> bytes:
    """An mp4 with a track of pictures and no picture in it."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        container.start_encoding()
    return buffer.getvalue()


def without_index(frames: Sequence[Image.Image]) -> bytes:
    """An mp4 as a recording leaves it that was not ended: all frames, and no moov that says where."""
    data = video_file(frames, starts_ms=[125 * i for i in range(len(frames))])
    return data[: data.index(b"moov") - 4]

"""Clips: frames to bytes and back, with limits, chosen frames and a time limit that holds.

What is decoded comes from anywhere, so it is done in a child process (`urm_ray.clip_decoder`) that is kept for the
next clip, and killed and replaced when it takes too long, crashes or wants too much memory.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import av
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from urm_ray.clip_containers import cut_short
from urm_ray.clip_decoder import receive, send
from urm_ray.media import MAX_RATIO, MediaError, decode_image

LIMIT_S = 30.0
_START_S = 120.0  # a child loads Python, numpy and decord, half a second on a quiet machine


class Sampling(BaseModel):
    """Which frames of a clip are looked at: `count` of them evenly spread in time with both ends, or `rate` a second
    from the first on but at most `maximum`, or every frame but at most `maximum`.

    The exact rule is that of `urm_ray.clip_decoder.chosen_frames`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int | None = Field(None, ge=1, le=512)
    rate: float | None = Field(None, gt=0, le=1000)
    maximum: int = Field(64, ge=1, le=512)

    @model_validator(mode="after")
    def _one_rule(self) -> Sampling:
        if self.count is not None and self.rate is not None:
            raise ValueError("a clip is sampled by count or by rate, not by both")
        return self


@dataclass(frozen=True)
class Limits:
    """What a clip may have at most."""

    pixels: int = 4096 * 2304
    """A frame."""
    ratio: int = MAX_RATIO
    """Times that a frame may be longer than wide, or wider than long."""
    all_pixels: int = 1 << 28
    """All the frames that are chosen, together; 0.8 GB."""
    frames: int = 200_000
    seconds: float = 7200.0


@dataclass(frozen=True)
class Clip:
    """Chosen frames (RGB, one size), and when each comes on screen, in seconds from the clip's start.

    The last `padded` frames repeat the one before them, because the clip has fewer frames than were asked for.
    """

    frames: list[Image.Image]
    times: list[float]
    padded: int = 0

    @property
    def rate(self) -> float:
        """How many frames, padding aside, there are in a second of the clip; 1 where they do not span any time."""
        own = self.times[: len(self.times) - self.padded]
        span = own[-1] - own[0]
        return (len(own) - 1) / span if span > 0 else 1.0


def encode_clip(frames: Sequence[Image.Image], fps: float) -> dict[str, Any]:
    """A `schema.MEDIA` row holding the frames as mp4; equal frames give equal bytes, and every pixel survives.

    h264 without loss and in RGB: chroma is neither rounded nor subsampled, which would blur small pictures and needs
    even sizes. ValueError for no frames, frames of different sizes or a rate that is none.
    """
    if not frames or not 0 < fps <= 1000:
        raise ValueError(f"a clip has frames and a rate above 0 and up to 1000, not {len(frames)} frames at {fps}")
    width, height = frames[0].size
    if any(frame.size != (width, height) for frame in frames):
        raise ValueError("the frames of a clip are all of one size")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(
            "libx264rgb", rate=Fraction(fps).limit_denominator(1001), options={"qp": "0", "flags": "+bitexact"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame.convert("RGB"))))
        container.mux(stream.encode(None))
    return clip_record(buffer.getvalue(), width, height, len(frames), fps)


def clip_record(data: bytes, width: int, height: int, frames: int, fps: float) -> dict[str, Any]:
    """A `schema.MEDIA` row for an encoded clip."""
    return {
        "kind": "video",
        "data": data,
        "uri": None,
        "width": width,
        "height": height,
        "frames": frames,
        "fps": fps,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def decode_clip(
    media: dict[str, Any] | None, sampling: Sampling, limit_s: float = LIMIT_S, limits: Limits | None = None
) -> Clip:
    """The chosen frames of a `schema.MEDIA` row; MediaError where there are none to be had, also after `limit_s`.

    limit_s guards against what hangs; it is wall time, so leave room for a busy machine.
    """
    if media is None or not media.get("data"):
        raise MediaError("no clip")
    if media.get("kind") != "video":
        raise MediaError(f"not a video but {media.get('kind')!r}")
    found, frames = _ask(media["data"], sampling, limit_s, limits or Limits())
    missing = max(0, (sampling.count or 0) - len(found["shown"]))
    shown = [frames[number] for number in found["shown"]]
    return Clip(shown + shown[-1:] * missing, found["times"] + found["times"][-1:] * missing, missing)


def read_clip(data: bytes, limit_s: float = LIMIT_S, limits: Limits | None = None) -> dict[str, Any]:
    """A `schema.MEDIA` row for encoded bytes from outside, checked by decoding both ends once; else MediaError."""
    if not data:
        raise MediaError("no clip")
    found, _ = _ask(data, Sampling(count=2), limit_s, limits or Limits())
    return clip_record(data, found["width"], found["height"], found["frames"], found["fps"])


def decode_media(media: dict[str, Any] | None, sampling: Sampling) -> Image.Image | Clip:
    """The picture of a `schema.MEDIA` row, or its clip with the chosen frames; MediaError where there is neither."""
    if media is not None and media.get("kind") == "video":
        return decode_clip(media, sampling)
    return decode_image(media)


class _Child:
    """The decoding process and the socket to it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.connection, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "urm_ray.clip_decoder"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
            )
        try:
            receive(self.connection, time.monotonic() + _START_S)
        except (EOFError, TimeoutError, OSError):
            self.end()
            raise RuntimeError("the clip decoder does not start: is decord2 installed?") from None

    def ask(self, request: dict[str, Any], data: bytes, limit_s: float) -> tuple[dict[str, Any], bytearray]:
        """EOFError or OSError if the child died, TimeoutError once `limit_s` is over."""
        deadline = time.monotonic() + limit_s
        self.connection.settimeout(limit_s)
        send(self.connection, request, [data])
        return receive(self.connection, deadline)

    def end(self) -> None:
        self.connection.close()
        if self.owner == os.getpid():  # a fork has the socket of its parent's child, and no say over that child
            self.process.kill()
            self.process.wait()


_lock = threading.Lock()
_child: _Child | None = None


def _end_child() -> None:
    global _child
    if _child is not None:
        _child.end()
        _child = None


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _end_child()


atexit.register(_end_child)
os.register_at_fork(after_in_child=_after_fork)


def _ask(data: bytes, sampling: Sampling, limit_s: float, limits: Limits) -> tuple[dict[str, Any], list[Image.Image]]:
    """The child's answer about a clip with its distinct frames; MediaError where it has a reason instead."""
    if cut_short(data):
        raise MediaError("the clip is cut short: its file states that it is longer")
    request = {**sampling.model_dump(), **asdict(limits), "limit_s": limit_s}
    with _lock:
        found, pixels = _answer(request, data, limit_s)
    if "refused" in found:
        raise MediaError(found["refused"])
    size = found["width"], found["height"]
    step = size[0] * size[1] * 3
    view = memoryview(pixels)
    return found, [Image.frombytes("RGB", size, view[i : i + step]) for i in range(0, len(pixels), step)]


def _answer(request: dict[str, Any], data: bytes, limit_s: float) -> tuple[dict[str, Any], bytearray]:
    global _child
    for last in (False, True):
        if _child is None:
            _child = _Child()
        try:
            return _child.ask(request, data, limit_s)
        except TimeoutError:
            _end_child()
            raise MediaError(f"decoding takes longer than {limit_s:g} seconds") from None
        except (EOFError, OSError):
            _end_child()
            if last:  # once may have been the machine's fault, such as its memory running out
                raise MediaError("the decoder crashes on the clip") from None
        except BaseException:
            _end_child()  # half a message is on its way
            raise
    raise AssertionError

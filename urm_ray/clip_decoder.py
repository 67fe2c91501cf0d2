"""Decodes clips in a process of its own, so that a decoder that hangs or crashes inside C costs one clip.

    python -m urm_ray.clip_decoder          the child: one request after another on its standard input, a socket

A message is a header in JSON, with its length before it, and as many raw bytes as the header says. A request carries
the encoded clip with a sampling and limits, a reply the chosen frames as RGB or a reason. Only the standard library,
numpy and decord are loaded, so that a child is up in a moment. A child opens no file and no connection: to ffmpeg a
clip may also be a text that names others, on a disk or in the network.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

MEMORY = 4 << 30
"""Bytes of address space; a clip that asks for more ends the child and not the machine."""
FILES = 3
"""Files that may be open, standard input and outputs: none can be opened besides what is open already."""
_SAME_TIME = 1e-3  # seconds; time stamps are 32-bit floats


class RefusedError(Exception):
    """Why a clip cannot be had, in one sentence."""


def send(connection: socket.socket, header: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    head = json.dumps(header | {"bytes": sum(map(len, parts))}).encode()
    connection.sendall(len(head).to_bytes(4, "little") + head)
    for part in parts:
        connection.sendall(part)


def receive(connection: socket.socket, deadline: float = math.inf) -> tuple[dict[str, Any], bytearray]:
    """A message; EOFError if the other side is gone, TimeoutError once `time.monotonic()` has passed the deadline."""
    length = int.from_bytes(_exactly(connection, 4, deadline), "little")
    header = json.loads(_exactly(connection, length, deadline))
    return header, _exactly(connection, header["bytes"], deadline)


def _exactly(connection: socket.socket, count: int, deadline: float) -> bytearray:
    data, filled = bytearray(count), 0
    while filled < count:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(None if left == math.inf else left)
        got = connection.recv_into(memoryview(data)[filled:])
        if not got:
            raise EOFError
        filled += got
    return data


def chosen_frames(starts: np.ndarray, count: int | None, rate: float | None, maximum: int) -> list[int]:
    """The frames that a sampling takes of a clip whose frames start at `starts` (seconds, ascending).

    Each is the frame on screen at its time. rate: the times are 1 / rate seconds apart from the first frame on; where
    that is more than `maximum`, so many are spread evenly. count: so many times, spread evenly from the first frame's
    start to the last one's, both included (one alone is the first); a clip of no more frames gives each of them once.
    Neither: as if `maximum` were the count.
    """
    if rate is not None:
        times = np.arange(starts[0], starts[-1] + _SAME_TIME, 1 / rate)
        if len(times) <= maximum:
            return _on_screen(starts, times)
        return _on_screen(starts, np.linspace(starts[0], starts[-1], maximum))
    count = count or maximum
    if len(starts) <= count:
        return list(range(len(starts)))
    return _on_screen(starts, np.linspace(starts[0], starts[-1], count))


def _on_screen(starts: np.ndarray, times: np.ndarray) -> list[int]:
    return (np.searchsorted(starts, times + _SAME_TIME, side="right") - 1).tolist()


def decode(data: bytes | bytearray, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """({width, height, frames, fps, times, shown}, the distinct chosen frames as RGB bytes), or RefusedError.

    wanted: {count, rate, maximum} of `chosen_frames` and the limits {pixels, ratio, all_pixels, frames, seconds}.
    times and shown tell for each chosen frame its start in seconds and its number among the distinct ones.
    """
    import decord

    try:
        reader = decord.VideoReader(io.BytesIO(data), num_threads=1)
        total = len(reader)
        if not total:
            raise RefusedError("the clip has no frames")
        if total > wanted["frames"]:
            raise RefusedError(f"{total} frames are more than the {wanted['frames']} allowed")
        spans = reader.get_frame_timestamp(list(range(total)))
        seconds = float(spans[-1, 1] - spans[0, 0])
        if seconds > wanted["seconds"]:
            raise RefusedError(f"{seconds:.1f} seconds are more than the {wanted['seconds']:g} allowed")
        chosen = chosen_frames(spans[:, 0], wanted["count"], wanted["rate"], wanted["maximum"])
        distinct = sorted(set(chosen))
        frames = []
        width = height = 0
        for number in distinct:
            pixels = _rgb(reader[number].asnumpy())
            height, width = pixels.shape[:2]
            _check_size(width, height, len(distinct), wanted)
            frames.append(pixels.tobytes())
        if len(set(map(len, frames))) > 1:
            raise RefusedError("the frames are not all of one size")
    except (decord.DECORDError, RuntimeError, MemoryError, IndexError) as error:
        raise RefusedError(_reason(str(error))) from None
    shown = [distinct.index(number) for number in chosen]
    times = [round(float(spans[number, 0]), 6) for number in chosen]
    found = {"width": width, "height": height, "frames": total, "fps": reader.get_avg_fps(), "times": times}
    return found | {"shown": shown}, frames


def _check_size(width: int, height: int, frames: int, limits: dict[str, Any]) -> None:
    if width * height > limits["pixels"]:
        raise RefusedError(f"{width} x {height} pixels a frame are more than the {limits['pixels']} allowed")
    if max(width, height) > limits["ratio"] * min(width, height):
        raise RefusedError(
            f"{width} x {height} pixels a frame: one side is more than {limits['ratio']} times the other"
        )
    if width * height * frames > limits["all_pixels"]:
        most = limits["all_pixels"]
        raise RefusedError(f"{frames} frames of {width} x {height} pixels are more than the {most} pixels allowed")


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) of what decord gives: (H, W, 3 k) where the rows of a narrow clip still have their padding."""
    height, width, channels = pixels.shape
    return pixels.reshape(height, width * channels)[:, : width * 3].reshape(height, width, 3)


def _reason(message: str) -> str:
    if message.startswith("Error reading"):
        return "the bytes are not a clip"
    if "cannot find video stream" in message:
        return "there is no video in it, or its end is missing"
    if "Cannot create buffer source" in message:
        return "the clip has no frames"
    if "Failed to measure" in message:
        return "it has no frames that can be counted, as in a clip"
    return "the clip does not decode: it is cut short or damaged"


def serve(connection: socket.socket) -> None:
    """Answers requests until the other side is gone."""
    sys.modules["nvidia"] = None  # type: ignore[assignment]  # decord would load every CUDA library, 600 MB of them
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    with contextlib.suppress(ValueError, OSError):  # not every system can
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with contextlib.suppress(RefusedError):  # loads what is loaded at first use
        decode(b"\0", {"frames": 0, "seconds": 0.0})
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    send(connection, {"ready": True})
    while True:
        try:
            request, data = receive(connection)
        except EOFError:
            return
        # If the parent is gone too when a clip hangs, nobody else would end this process; Python code cannot.
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + 5)
        try:
            found, frames = decode(data, request)
        except RefusedError as refused:
            found, frames = {"refused": str(refused)}, []
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send(connection, found, frames)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    serve(socket.socket(fileno=os.dup(0)))

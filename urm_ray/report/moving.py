"""Clips as animated pictures (WebP), which every browser plays by itself and in their true colours.

Not as they are stored: Chromium takes the planes of h264 in RGB for YUV and shows other colours, Firefox and Safari do
not play it at all (no 4:4:4). In WebP a small clip keeps every pixel in less bytes than in h264 of any kind.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from PIL import Image

from urm_ray.clips import Clip, Sampling, decode_clip

SHOWN = Sampling(maximum=48)
LONGEST = 384
"""Pixels of the longer side of a clip in the page; a larger one is reduced."""
SHORTEST_MS = 20
"""Browsers show a frame of 10 ms or less for 100."""
_QUALITY = 80


def moving(media: dict[str, Any], exact: bool) -> tuple[bytes, bytes | None]:
    """A clip (`schema.MEDIA`) as an animation and as `sheet` of frames, both WebP; None for the frames of a still.

    exact: without loss, else at most LONGEST pixels. Equal clips give equal bytes. MediaError if it does not decode.
    """
    clip = decode_clip(media, SHOWN)
    frames = clip.frames if exact else [_reduced(frame) for frame in clip.frames]
    played = _webp(frames, _durations(clip, media.get("fps")), exact)
    return played, _webp([sheet(frames)], [0], exact) if len(frames) > 1 else None


def _durations(clip: Clip, fps: float | None) -> list[int]:
    """Milliseconds for which each frame is shown; all of them together are as long as the clip."""
    last = 1 / fps if fps else (clip.times[-1] - clip.times[0]) / max(1, len(clip.times) - 1)
    ends = [round(1000 * time) for time in [*clip.times, clip.times[-1] + last]]
    return [max(SHORTEST_MS, end - start) for start, end in pairwise(ends)]


def _reduced(frame: Image.Image) -> Image.Image:
    small = frame.copy()
    small.thumbnail((LONGEST, LONGEST))
    return small


def sheet(frames: Sequence[Image.Image]) -> Image.Image:
    """Four frames from the first to the last in two rows (RGBA), for whoever wants nothing to move, and for print."""
    width, height = frames[0].size
    gap = max(1, width // 32)
    page = Image.new("RGBA", (2 * width + gap, 2 * height + gap))
    for place in range(4):
        frame = frames[round(place * (len(frames) - 1) / 3)]
        page.paste(frame, ((width + gap) * (place % 2), (height + gap) * (place // 2)))
    return page


def _webp(frames: Sequence[Image.Image], durations: list[int], exact: bool) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        lossless=exact,
        quality=_QUALITY,
        minimize_size=exact,
    )
    return buffer.getvalue()

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_files import noise, shade_numbers, shades, video_file
from PIL import Image
from report.finished_run import Page, finished_run, sifted

from urm_ray.clips import clip_record, encode_clip
from urm_ray.media import MediaError
from urm_ray.report import moving as page_clips
from urm_ray.report.moving import moving
from urm_ray.report.page import render_page
from urm_ray.report.pictures import media_of
from urm_ray.report.summary import summary


def opened(data: bytes | None) -> tuple[list[Image.Image], list[int]]:
    """The frames of an encoded animation and their milliseconds."""
    assert data is not None
    image: Any = Image.open(io.BytesIO(data))
    frames, milliseconds = [], []
    for number in range(image.n_frames):
        image.seek(number)
        frames.append(image.convert("RGB"))
        milliseconds.append(image.info["duration"])
    return frames, milliseconds


def pixels(frames: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(frame) for frame in frames])


def test_a_small_clip_keeps_every_pixel_and_its_speed() -> None:
    drawn = noise(5, 24, 16)
    data, _ = moving(encode_clip(drawn, 8.0), exact=True)
    frames, milliseconds = opened(data)
    assert np.array_equal(pixels(frames), pixels(drawn))
    assert milliseconds == [125] * 5
    assert Image.open(io.BytesIO(data)).info["loop"] == 0


def test_equal_clips_give_equal_bytes() -> None:
    assert moving(encode_clip(noise(4), 8.0), exact=True) == moving(encode_clip(noise(4), 8.0), exact=True)
    assert moving(encode_clip(noise(4), 8.0), exact=False) == moving(encode_clip(noise(4), 8.0), exact=False)


def test_frames_of_the_clip_from_first_to_last() -> None:
    _, sheet = moving(encode_clip(shades(10, 48, 32), 8.0), exact=True)
    (page,), _ = opened(sheet)
    assert page.size == (97, 65)
    corners = [page.crop((x, y, x + 48, y + 32)) for y in (0, 33) for x in (0, 49)]
    assert shade_numbers(corners) == [0, 3, 6, 9]


def test_a_clip_of_one_frame_is_a_picture() -> None:
    still = encode_clip(shades(1), 8.0)
    data, sheet = moving(still, exact=True)
    assert len(opened(data)[0]) == 1
    assert sheet is None
    assert media_of(still, "a still").count("<img") == 1


def test_a_large_clip_is_reduced_and_costs_little() -> None:
    clip = encode_clip(noise(3, 800, 400), 8.0)
    data, sheet = moving(clip, exact=False)
    assert [frame.size for frame in opened(data)[0]] == [(384, 192)] * 3
    assert len(data) < len(clip["data"]) / 20
    assert opened(sheet)[0][0].size == (2 * 384 + 12, 2 * 192 + 12)


def test_a_long_clip_is_thinned_out_at_its_own_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_clips, "SHOWN", page_clips.Sampling(maximum=3))
    frames, milliseconds = opened(moving(encode_clip(shades(9), 8.0), exact=True)[0])
    assert shade_numbers(frames) == [0, 4, 8]
    assert milliseconds == [500, 500, 125]


def test_uneven_frames_keep_their_times_but_none_is_too_short_for_browsers() -> None:
    media = clip_record(video_file(shades(4), starts_ms=[0, 5, 100, 400]), 48, 32, 4, 10.0)
    _, milliseconds = opened(moving(media, exact=True)[0])
    assert milliseconds == [20, 95, 300, 100]


@pytest.mark.parametrize("form", [("libx264", "mp4"), ("libvpx-vp9", "webm")])
def test_clips_of_other_makers_are_shown(form: tuple[str, str]) -> None:
    media = clip_record(video_file(shades(4, 64, 48), *form), 64, 48, 4, 8.0)
    assert shade_numbers(opened(moving(media, exact=True)[0])[0]) == [0, 1, 2, 3]


def test_a_clip_that_does_not_decode_shows_its_reason() -> None:
    broken = clip_record(b"\0\0\0\x18ftypisom" + bytes(50), 8, 8, 4, 8.0)
    with pytest.raises(MediaError) as reason:
        moving(broken, exact=True)
    shown = Page(media_of(broken, "before: a prompt"))
    assert [(tag, a["class"]) for tag, a in shown.tags] == [("span", "picture empty")]
    assert shown.text == str(reason.value)


def test_clips_are_candidates_and_what_is_asked_about(tmp_path: Path) -> None:
    rows = [sifted(i, f"prompt {i}", None, 8, "video_generation") for i in range(12)]
    for row in rows:
        row["context"] = [encode_clip(shades(3, 32, 32), 4.0)]
    sources = finished_run(tmp_path, tasks=["video_generation"], pairs=rows)
    page = Page(render_page(sources, summary(sources)))
    kinds = [(a["class"] or "").split() for a in page.all("img")]
    assert sum("playing" in kind for kind in kinds) == sum("frames" in kind for kind in kinds) == 5 * 2 + 4 * 3
    assert sum((a["alt"] or "").startswith("asked about: prompt") for a in page.all("img")) == 4
    assert [a["id"] for a in page.all("input")] == ["still"]


def test_without_clips_there_is_no_switch_for_them(tmp_path: Path) -> None:
    sources = finished_run(tmp_path)
    assert not Page(render_page(sources, summary(sources))).all("input")

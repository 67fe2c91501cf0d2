import contextlib
import io
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from clip_files import children, noise, shade_numbers, shades, video_file
from helpers import run_python
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from urm_ray.clips import Clip, Limits, Sampling, clip_record, decode_clip, decode_media, encode_clip, read_clip
from urm_ray.media import MediaError, encode_image

ALL = Sampling()
NOT_A_CLIP = {
    "nothing": (b"", "no clip"),
    "a page": (b"<html>404 not found</html>", "not a clip"),
    "zeros": (b"\0" * 5000, "not a clip"),
    "sound": (video_file([], sound=True), "no video in it"),
    "a picture": (encode_image(shades(1)[0])["data"], "frames that can be counted"),
}


def media(data: bytes | None, kind: str = "video") -> dict:
    return clip_record(data or b"", 48, 32, 1, 8.0) | {"data": data, "kind": kind}


def pixels(frames) -> np.ndarray:
    return np.stack([np.asarray(frame) for frame in frames])


@pytest.mark.parametrize("size", [(32, 32), (33, 27), (16, 48), (2, 2), (64, 64), (100, 50)])
@pytest.mark.parametrize("count", [1, 8])
def test_every_pixel_survives_in_every_size(size, count):
    frames = noise(count, *size)
    record = encode_clip(frames, 8)
    assert (record["kind"], record["width"], record["height"], record["frames"]) == ("video", *size, count)
    clip = decode_clip(record, ALL)
    assert all(frame.mode == "RGB" for frame in clip.frames)
    assert np.array_equal(pixels(clip.frames), pixels(frames))
    assert clip.times == pytest.approx([i / 8 for i in range(count)])
    assert clip.padded == 0


def test_equal_frames_give_equal_bytes_also_in_another_process():
    record = encode_clip(shades(5), 8)
    assert encode_clip([frame.copy() for frame in shades(5)], 8) == record
    code = "from clip_files import shades; from urm_ray.clips import encode_clip as e; print(e(shades(5), 8)['sha256'])"
    python_path = os.pathsep.join(["tests", *filter(None, [os.environ.get("PYTHONPATH")])])
    assert run_python("-c", code, PYTHONPATH=python_path).stdout.strip() == record["sha256"]
    other = shades(5)
    other[4].putpixel((0, 0), (1, 2, 3))
    assert encode_clip(other, 8)["sha256"] != record["sha256"]


@pytest.mark.parametrize("fps", [1, 7.5, 24, 29.97, 60])
def test_the_rate_survives(fps):
    record = encode_clip(shades(6), fps)
    assert record["fps"] == fps
    assert read_clip(record["data"])["fps"] == pytest.approx(fps, rel=1e-4)
    assert decode_clip(record, ALL).times == pytest.approx([i / fps for i in range(6)], abs=2e-3)


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        ([], 8, "has frames"),
        (shades(2), 0, "rate above 0"),
        (shades(2), -1, "rate above 0"),
        (shades(2), float("nan"), "rate above 0"),
        ([*shades(1), *shades(1, 20, 20)], 8, "all of one size"),
    ],
)
def test_what_is_no_clip_is_not_encoded(frames, fps, message):
    with pytest.raises(ValueError, match=message):
        encode_clip(frames, fps)


@pytest.mark.parametrize(
    ("codec", "form", "pixel_format"),
    [
        ("libx264", "mp4", "yuv420p"),
        ("libx264", "matroska", "yuv444p"),
        ("libvpx-vp9", "webm", "yuv420p"),
        ("mpeg4", "avi", "yuv420p"),
    ],
)
def test_clips_from_outside_are_kept_as_they_are(codec, form, pixel_format):
    data = video_file(shades(6), codec, form, pixel_format)
    record = read_clip(data)
    assert record["data"] == data
    assert (record["kind"], record["width"], record["height"], record["frames"]) == ("video", 48, 32, 6)
    assert record["fps"] == pytest.approx(8)
    assert shade_numbers(decode_clip(record, ALL).frames) == [0, 1, 2, 3, 4, 5]


def test_sound_beside_the_video_does_no_harm():
    record = read_clip(video_file(shades(6), sound=True))
    assert shade_numbers(decode_clip(record, Sampling(count=3)).frames) == [0, 2, 5]


@pytest.mark.parametrize(
    ("sampling", "numbers", "padded"),
    [
        (Sampling(count=1), [0], 0),
        (Sampling(count=2), [0, 7], 0),
        (Sampling(count=4), [0, 2, 4, 7], 0),
        (Sampling(count=8), [0, 1, 2, 3, 4, 5, 6, 7], 0),
        (Sampling(count=11), [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7], 3),
        (Sampling(rate=4), [0, 2, 4, 6], 0),
        (Sampling(rate=16), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7], 0),
        (Sampling(rate=4, maximum=3), [0, 3, 7], 0),
        (Sampling(maximum=3), [0, 3, 7], 0),
        (Sampling(), [0, 1, 2, 3, 4, 5, 6, 7], 0),
    ],
)
def test_frames_are_chosen_by_the_stated_rule(sampling, numbers, padded):
    clip = decode_clip(encode_clip(shades(8), 8), sampling)
    assert shade_numbers(clip.frames) == numbers
    assert clip.times == pytest.approx([number / 8 for number in numbers])
    assert clip.padded == padded


def test_a_clip_of_varying_rate_is_sampled_by_time():
    record = read_clip(video_file(shades(6), starts_ms=[0, 100, 200, 1000, 1100, 3000]))
    clip = decode_clip(record, Sampling(count=4))
    assert shade_numbers(clip.frames) == [0, 3, 4, 5]  # on screen at 0, 1, 2 and 3 seconds
    assert clip.times == pytest.approx([0, 1.0, 1.1, 3.0], abs=1e-3)
    assert shade_numbers(decode_clip(record, Sampling(rate=2)).frames) == [0, 2, 3, 4, 4, 4, 5]


@pytest.mark.parametrize("bad", [{"count": 0}, {"rate": 0}, {"count": 4, "rate": 1.0}, {"maximum": 0}, {"frames": 4}])
def test_a_sampling_that_makes_no_sense_is_refused(bad):
    with pytest.raises(ValidationError):
        Sampling.model_validate(bad)


@pytest.mark.parametrize(("data", "reason"), NOT_A_CLIP.values(), ids=NOT_A_CLIP)
def test_what_is_no_clip_says_why(data, reason):
    with pytest.raises(MediaError, match=reason):
        read_clip(data)
    with pytest.raises(MediaError, match=reason):
        decode_clip(media(data), ALL)


def test_no_media_and_other_media_are_no_clip():
    with pytest.raises(MediaError, match="no clip"):
        decode_clip(None, ALL)
    with pytest.raises(MediaError, match="no clip"):
        decode_clip(media(None), ALL)
    with pytest.raises(MediaError, match="not a video but 'image'"):
        decode_clip(encode_image(shades(1)[0]), ALL)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_a_truncated_clip_is_an_error_and_never_a_shorter_one(share):
    data = encode_clip(noise(8), 8)["data"]
    with pytest.raises(MediaError):
        read_clip(data[: int(len(data) * share)])


def test_limits_are_exact_and_named():
    record = encode_clip(shades(8, 50, 40), 8)
    at = Limits(pixels=2000, all_pixels=8 * 2000, frames=8, seconds=1.0)
    assert len(decode_clip(record, ALL, limits=at).frames) == 8
    for limits, message in [
        (Limits(pixels=1999), "50 x 40 pixels a frame are more than the 1999 allowed"),
        (Limits(all_pixels=15_999), "8 frames of 50 x 40 pixels are more than the 15999 pixels allowed"),
        (Limits(frames=7), "8 frames are more than the 7 allowed"),
        (Limits(seconds=0.9), "1.0 seconds are more than the 0.9 allowed"),
    ]:
        with pytest.raises(MediaError, match=message):
            decode_clip(record, ALL, limits=limits)
        with pytest.raises(MediaError, match="allowed") if "8 frames of" not in message else contextlib.nullcontext():
            read_clip(record["data"], limits=limits)
    assert len(decode_clip(record, Sampling(count=7), limits=Limits(all_pixels=15_999)).frames) == 7


def test_the_time_limit_holds_inside_the_decoder():
    record = encode_clip(noise(50, 320, 240), 25)
    started = time.monotonic()
    with pytest.raises(MediaError, match=r"longer than 0\.01 seconds"):
        decode_clip(record, Sampling(count=2), limit_s=0.01)
    assert time.monotonic() - started < 5
    assert decode_clip(record, Sampling(count=2)).frames[1].tobytes() == noise(50, 320, 240)[-1].tobytes()


def test_a_decoder_that_hangs_costs_its_clip_alone():
    record = encode_clip(shades(3), 8)
    decode_clip(record, ALL)
    (hanging,) = children()
    os.kill(hanging, signal.SIGSTOP)  # it cannot answer, nor heed anything but a kill
    with pytest.raises(MediaError, match=r"longer than 0\.2 seconds"):
        decode_clip(record, ALL, limit_s=0.2)
    assert children() == []
    assert shade_numbers(decode_clip(record, ALL).frames) == [0, 1, 2]


def test_the_decoder_is_kept_and_one_that_died_is_replaced():
    record = encode_clip(shades(3), 8)
    decode_clip(record, ALL)
    (kept,) = children()
    with pytest.raises(MediaError):
        read_clip(b"damaged")
    decode_clip(record, ALL)
    assert children() == [kept]
    os.kill(kept, signal.SIGKILL)
    assert shade_numbers(decode_clip(record, ALL).frames) == [0, 1, 2]
    assert len(children()) == 1
    assert children() != [kept]


def test_the_decoder_goes_when_its_user_is_killed():
    code = (
        "import os, signal; from clip_files import shades; from urm_ray.clips import encode_clip, read_clip;"
        "from clip_files import children; read_clip(encode_clip(shades(2), 8)['data']);"
        "print(*children(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    python_path = os.pathsep.join(["tests", *filter(None, [os.environ.get("PYTHONPATH")])])
    orphan = int(run_python("-c", code, PYTHONPATH=python_path).stdout)
    deadline = time.monotonic() + 20
    while (command := Path(f"/proc/{orphan}/cmdline")).exists() and b"clip_decoder" in command.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_threads_share_the_decoder_without_mixing_up_clips():
    found: dict[int, list[int]] = {}

    def work(first: int) -> None:
        record = encode_clip(shades(12)[first : first + 3], 8)
        for _ in range(10):
            found.setdefault(first, []).extend(shade_numbers(decode_clip(record, ALL).frames))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 9, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {first: [first, first + 1, first + 2] * 10 for first in range(0, 9, 3)}


def test_a_fork_has_a_decoder_of_its_own():
    record = encode_clip(shades(3), 8)
    decode_clip(record, ALL)
    (ours,) = children()
    fork = os.fork()
    if fork == 0:
        right = shade_numbers(decode_clip(record, ALL).frames) == [0, 1, 2] and children() != [ours]
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    assert shade_numbers(decode_clip(record, ALL).frames) == [0, 1, 2]
    assert children() == [ours]


def test_a_row_of_media_is_a_picture_or_a_clip():
    image = shades(1)[0]
    shown = decode_media(encode_image(image), ALL)
    assert isinstance(shown, Image.Image)
    assert shown.tobytes() == image.tobytes()
    clip = decode_media(encode_clip(shades(4), 8), Sampling(count=2))
    assert isinstance(clip, Clip)
    assert shade_numbers(clip.frames) == [0, 3]
    for bad in (None, media(b"?"), encode_image(image) | {"data": b"?"}):
        with pytest.raises(MediaError):
            decode_media(bad, ALL)


@pytest.mark.parametrize(
    ("count", "sampling", "rate"),
    [
        (16, {}, 8),
        (9, {"count": 3}, 2),
        (16, {"rate": 4}, 4),
        (4, {"count": 7}, 8),  # the frames that pad it take no time
        (1, {"count": 8}, 1),
        (5, {"count": 1}, 1),
    ],
)
def test_the_rate_of_a_clip_is_that_of_the_frames_that_were_chosen(count, sampling, rate):
    assert decode_clip(encode_clip(shades(count), 8), Sampling(**sampling)).rate == pytest.approx(rate, rel=1e-4)


FILES = [encode_clip(shades(6), 8)["data"], video_file(shades(6)), video_file(shades(6), "libvpx-vp9", "webm")]


@given(
    st.sampled_from(FILES),
    st.integers(0, 4000),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
)
def test_damaged_bytes_are_a_clip_or_a_media_error(file, length, changes):
    data = bytearray(file[: max(1, length)])
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(MediaError):
        clip = decode_clip(media(bytes(data)), Sampling(count=4), limit_s=20)
        assert len(clip.frames) == len(clip.times) == 4


def test_a_gif_is_a_clip():
    buffer = io.BytesIO()
    shades(3)[0].save(buffer, "GIF", save_all=True, append_images=shades(3)[1:], duration=100)
    assert shade_numbers(decode_clip(read_clip(buffer.getvalue()), ALL).frames) == [0, 1, 2]

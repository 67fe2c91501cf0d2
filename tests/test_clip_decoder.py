import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from clip_files import noise
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.clip_decoder import chosen_frames, receive, send
from urm_ray.clips import encode_clip

STARTS = st.lists(st.floats(0.01, 2.0), min_size=1, max_size=60).map(lambda gaps: np.cumsum([0.0, *gaps[1:]]))


def on_screen(starts: np.ndarray, time: float) -> set[int]:
    """The frames that may be on screen at a time, within the precision of time stamps."""
    return {max(i for i, start in enumerate(starts) if start <= time + e) for e in (0.0, 2e-3)}


@given(STARTS, st.integers(1, 80))
def test_a_count_is_spread_evenly_in_time_with_both_ends(starts, count):
    chosen = chosen_frames(starts, count, None, 64)
    assert chosen == sorted(chosen)
    if len(starts) <= count:
        assert chosen == list(range(len(starts)))
        return
    assert len(chosen) == count
    assert chosen[0] == 0
    assert count == 1 or chosen[-1] == len(starts) - 1
    for i, frame in enumerate(chosen):
        assert frame in on_screen(starts, starts[-1] * i / max(1, count - 1))


@given(st.integers(1, 200), st.integers(2, 64), st.sampled_from([8.0, 23.976, 25.0, 29.97, 60.0]))
def test_at_a_constant_rate_a_count_is_the_usual_even_choice_and_repeats_nothing(frames, count, fps):
    chosen = chosen_frames(np.arange(frames, dtype=np.float32) / np.float32(fps), count, None, 64)
    assert len(set(chosen)) == len(chosen) == min(frames, count)
    if frames > count:
        exact = [i * (frames - 1) / (count - 1) for i in range(count)]
        assert all(number - 1 < frame <= number + 0.1 for frame, number in zip(chosen, exact, strict=True))


@given(STARTS, st.floats(0.2, 30.0), st.integers(1, 64))
def test_a_rate_takes_a_frame_at_each_of_its_times_up_to_the_maximum(starts, rate, maximum):
    chosen = chosen_frames(starts, None, rate, maximum)
    assert 1 <= len(chosen) <= maximum
    assert chosen == sorted(chosen)
    if len(chosen) < maximum:
        assert len(chosen) - 1 <= starts[-1] * rate + 0.1 < len(chosen) + 0.2
        for i, frame in enumerate(chosen):
            assert frame in on_screen(starts, i / rate)


@given(STARTS, st.integers(1, 64))
def test_without_count_and_rate_every_frame_is_taken_up_to_the_maximum(starts, maximum):
    assert chosen_frames(starts, None, None, maximum) == chosen_frames(starts, maximum, None, 1)


def test_a_decoder_that_hangs_ends_itself_when_nobody_else_does():
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen([sys.executable, "-m", "urm_ray.clip_decoder"], stdin=theirs.fileno()) as child:
        assert receive(ours)[0]["ready"]
        limits = {"pixels": 10**9, "ratio": 200, "all_pixels": 10**9, "frames": 10**6, "seconds": 10**6}
        request = {"count": None, "rate": None, "maximum": 100, **limits, "limit_s": -4.99}
        send(ours, request, [encode_clip(noise(40, 320, 240), 25)["data"]])
        theirs.close()
        with pytest.raises((EOFError, ConnectionResetError)):
            receive(ours)
        assert child.wait(20) == -signal.SIGALRM


def test_a_message_that_stops_half_way_is_noticed():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(theirs, {"x": 1}, [b"abc", b"de"])
        assert receive(ours) == ({"x": 1, "bytes": 5}, bytearray(b"abcde"))
        theirs.sendall(b'\x0c\0\0\0{"bytes": 5}ab')
        with pytest.raises(TimeoutError):
            receive(ours, deadline=0.0)
        theirs.close()
        with pytest.raises(EOFError):
            receive(ours)

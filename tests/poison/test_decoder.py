"""Bombs, and clips that hang or crash their decoder: they cost little time and memory, and their own row alone."""

import json
import os
import resource
import signal
import time

import pytest
from clip_files import children, shades
from helpers import run_python
from poison.cases import BAD_CLIPS, BAD_PICTURES
from poison.doors import prompts, write_media

from urm_ray import clips
from urm_ray.clips import encode_clip

BOMBS = [name for name in BAD_PICTURES if any(word in name for word in ("says", "bomb", "MB", "fewer", "strip"))]
MEASURE = """
import json, resource, sys, time
from clip_files import shades
from picture_files import encoded
from poison.cases import BAD_PICTURES
from urm_ray.media import MediaError, read_image
read_image(encoded("PNG")), read_image(encoded("WEBP")), read_image(encoded("JPEG"))
found = {}
for name in json.loads(sys.argv[1]):
    data = BAD_PICTURES[name].make()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        read_image(data)
        raise SystemExit(f"{name} was read")
    except MediaError:
        spent = time.process_time() - start
    found[name] = [spent, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]
print(json.dumps(found))
"""


def test_bombs_of_a_few_bytes_take_neither_time_nor_memory():
    path = os.pathsep.join(["tests", *filter(None, [os.environ.get("PYTHONPATH")])])
    made = run_python("-c", MEASURE, json.dumps(BOMBS), PYTHONPATH=path)
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)
    assert len(found) == len(BOMBS) >= 10
    for name, (seconds, megabytes) in found.items():
        assert seconds < 2, name
        assert megabytes < 150, name


QUESTIONS = [{"prompt": f"what is number {n}?", "images": [f"{n}.png"]} for n in range(4)]
ASKED = [{"prompt": f"what moves in {n}?", "videos": [f"{n}.mp4"]} for n in range(2)]
POISON = {"prompt": "what is it?", "prompt_id": "poison", "videos": ["poison.mp4"]}
GOOD = [encode_clip(shades(3 + n), 8)["data"] for n in range(2)]
BAD = encode_clip(shades(9), 8)["data"]


def asked(folder, lines):
    write_media(folder, BAD, "poison.mp4")
    for number, data in enumerate(GOOD):
        (folder / f"{number}.mp4").write_bytes(data)
    return prompts(folder, lines, "video_understanding")


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (signal.SIGSTOP, "decoding takes longer than 30 seconds"),
        (signal.SIGKILL, "the decoder crashes on the clip"),
        (signal.SIGSEGV, "the decoder crashes on the clip"),
    ],
)
def test_a_clip_that_hangs_or_crashes_the_decoder_costs_its_row_alone(tmp_path, monkeypatch, does, reason):
    real = clips._Child.ask

    def ask(child, request, data, limit_s):
        if data == BAD:  # what a decoder does that meets the worst
            os.kill(child.process.pid, does)
            limit_s = 0.3
        return real(child, request, data, limit_s)

    monkeypatch.setattr(clips._Child, "ask", ask)
    started = time.monotonic()
    found = asked(tmp_path / "with", [*QUESTIONS[:2], ASKED[0], POISON, ASKED[1], *QUESTIONS[2:]])
    assert time.monotonic() - started < 20
    assert found.aside == {"poison": f"undecodable clip: poison.mp4: {reason}"}
    assert found.data == asked(tmp_path / "without", [*QUESTIONS[:2], *ASKED, *QUESTIONS[2:]]).data
    assert len(children()) == 1


def test_a_decoder_is_kept_within_its_memory_and_a_bad_clip_leaves_it_running():
    encoded = encode_clip(shades(2), 8)
    clips.decode_clip(encoded, clips.Sampling())
    (child,) = children()
    assert resource.prlimit(child, resource.RLIMIT_AS)[0] == 4 << 30
    for case in BAD_CLIPS.values():
        with pytest.raises(clips.MediaError):
            clips.read_clip(case.make())
    assert children() == [child]

"""One picture or clip that is none, among others: each door puts it aside with its reason, and nothing else changes."""

import re

import pytest
from helpers import FakeEngine, prefer_darker, prompt_row
from picture_files import encoded, grey_of_16_bits, ramp, turned
from poison.cases import BAD_CLIPS, BAD_PICTURES, GOOD_CLIPS, GOOD_PICTURES
from poison.doors import imported, prompts, write_media

from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.media import decode_image, image_record
from urm_ray.sources.candidates import CandidateFile
from urm_ray.sources.prompts import PromptFile

FILES = {"picture": "poison.png", "clip": "poison.mp4"}
QUESTIONS = [{"prompt": f"what is number {n}?", "images": [f"{n}.png"]} for n in range(4)]
HEADER, *LABELS = ["id,prompt,image,video,answer_1,answer_2,label", *(f"{n},what?,{n}.png,,a,b,tie" for n in range(4))]


def each(pictures, clips):
    named = [(f"picture: {name}", "picture", case) for name, case in pictures.items()]
    named += [(f"clip: {name}", "clip", case) for name, case in clips.items()]
    return pytest.mark.parametrize(("what", "case"), [one[1:] for one in named], ids=[one[0] for one in named])


def question(what: str) -> dict:
    key = "images" if what == "picture" else "videos"
    return {"prompt": "what is it?", "prompt_id": "poison", key: [FILES[what]]}


def label(what: str) -> str:
    return f"poison,what?,{FILES[what]},,a,b,tie" if what == "picture" else f"poison,what?,,{FILES[what]},a,b,tie"


@pytest.fixture(scope="module")
def unpoisoned(tmp_path_factory):
    """What is kept of the same rows where the poisoned one is left out."""
    folder = tmp_path_factory.mktemp("unpoisoned")
    write_media(folder, b"", "unused")
    return prompts(folder, QUESTIONS, "image_understanding"), imported(folder, [HEADER, *LABELS])


@each(BAD_PICTURES, BAD_CLIPS)
def test_what_is_no_picture_or_clip_is_put_aside_and_no_other_row_changes(tmp_path, unpoisoned, what, case):
    write_media(tmp_path, case.make(), FILES[what])
    asked = prompts(tmp_path, [*QUESTIONS[:2], question(what), *QUESTIONS[2:]], "image_understanding")
    judged = imported(tmp_path, [HEADER, *LABELS[:2], label(what), *LABELS[2:]])
    for found, alone in ((asked, unpoisoned[0]), (judged, unpoisoned[1])):
        assert list(found.aside) == ["poison"]
        assert re.match(f"undecodable {what}: {FILES[what]}: .*{case.reason}", found.aside["poison"])
        assert len(found.rows) == 4
        assert found.data == alone.data


@each(GOOD_PICTURES, GOOD_CLIPS)
def test_what_is_odd_and_can_be_seen_is_kept_as_it_is_and_no_other_row_changes(tmp_path, unpoisoned, what, case):
    data = case.make()
    write_media(tmp_path, data, FILES[what])
    asked = prompts(tmp_path, [*QUESTIONS[:2], question(what), *QUESTIONS[2:]], "image_understanding")
    judged = imported(tmp_path, [HEADER, *LABELS[:2], label(what), *LABELS[2:]])
    for found, alone in ((asked, unpoisoned[0]), (judged, unpoisoned[1])):
        assert found.aside == {}
        (own,) = (row for row in found.rows if row not in alone.rows)
        assert own["context"][0]["data"] == data
        assert [row for row in found.rows if row != own] == alone.rows


@pytest.fixture(scope="module")
def judge() -> JudgeScorer:
    return JudgeScorer(FakeEngine(prefer_darker), protocol("unified"))


def judged(judge, folder, names: list[str]) -> dict:
    """Verdicts by the names of the candidates' files."""
    (folder / "mine.csv").write_text("\n".join(["prompt,candidate", *(f"a cat,{name}" for name in names)]))
    path = str(folder / "mine.csv")
    (row,) = PromptFile(path, 0, "image_generation", {"train_prompts": 1}).read("train_prompts", 0, 1)
    candidates = CandidateFile(path, "image_generation").of(row["prompt_id"])
    pairs = [(a, b) for a in range(len(names)) for b in range(len(names)) if a != b]
    found = judge.judge_set(prompt_row() | {"candidates": candidates}, pairs)
    said = {(names[v["first"]], names[v["second"]]): v for v in found["pair_verdicts"]}
    said |= {names[v["index"]]: v for v in found["point_verdicts"]}
    return {key: {k: v for k, v in one.items() if k not in ("first", "second", "index")} for key, one in said.items()}


@each(BAD_PICTURES, {})
def test_a_candidate_that_is_no_picture_is_never_judged_and_the_others_are_as_before(tmp_path, judge, what, case):
    write_media(tmp_path, case.make(), FILES[what])
    names = ["3.png", "1.png", FILES[what], "2.png"]
    found = judged(judge, tmp_path, names)
    poisoned = {key: found.pop(key) for key in list(found) if FILES[what] in (key if isinstance(key, tuple) else [key])}
    assert len(poisoned) == 7
    for verdict in poisoned.values():
        assert verdict["outcome"] == "media_error"
        assert re.match(f"undecodable picture: {FILES[what]}: .*{case.reason}", verdict["reason"])
    assert found == judged(judge, tmp_path, [name for name in names if name != FILES[what]])
    assert found["1.png", "2.png"]["outcome"] == "first"


def test_pictures_that_are_odd_are_seen_as_people_see_them():
    def seen(data: bytes):
        return decode_image(image_record(data, 0, 0))

    grey = seen(grey_of_16_bits()).getchannel(0)
    assert grey.getextrema() == (0, 255)
    assert grey.getpixel((12, 8)) == 136  # 204 of 383 steps of 171, in steps of 256
    upright = seen(encoded("JPEG", quality=95))
    assert seen(turned(6)).size == (16, 24)
    assert seen(turned(6)).tobytes() == upright.rotate(-90, expand=True).tobytes()
    assert seen(turned(77)).tobytes() == upright.tobytes()
    assert seen(encoded("PNG", ramp().convert("RGBA"))).tobytes() == ramp().tobytes()

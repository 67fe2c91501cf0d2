import json
from pathlib import Path

import pytest
from sources.native import read_all, reasons, shade_of, shown, write
from sources.native_general import BROKEN, LLAVA, QUESTION, generated, turns, write_llava, write_media

from urm_ray.clips import Sampling, decode_clip


@pytest.mark.parametrize("lines", [False, True], ids=["list", "lines"])
def test_verdicts_become_pairs_and_points_and_every_other_record_is_put_aside(tmp_path: Path, lines: bool):
    write_llava(tmp_path, lines)
    rows, rejected = read_all("llava", tmp_path)
    assert [shown(row) for row in rows] == [
        ("a [red] cat", "second", 1, 2),
        ("a tie", "tie", 3, 4),
        ("a dog", 3.67, 5),
        ("three", 4.5, 6),
        ("three", 2.0, 6),
        ("clips", "first", 1, 2),
        ("frames", "second", 1, 3),
        ("what is it?", "first", "a cat", "a dog"),
        ("what is it?", "second", "a cat", "a dog"),
    ]
    assert reasons(rejected) == [(f"judge.json:{n}", why) for n, (_, why) in enumerate(BROKEN, start=len(LLAVA) + 1)]


def test_what_stands_beside_the_verdict_is_kept(tmp_path: Path):
    write_llava(tmp_path)
    rows, _ = read_all("llava", tmp_path)
    assert [row["rationale"] for row in rows] == [
        None,
        None,
        "dog (animal): 1\nred (color): 0",
        None,
        None,
        None,
        "It is red.",
        "The cat is right.",
        None,
    ]
    assert [row["task"] for row in rows] == [
        *["image_generation"] * 5,
        *["video_generation"] * 2,
        "image_understanding",
        "video_understanding",
    ]
    assert [row["dimension"] for row in rows if row["kind"] == "point"] == [None, "alignment", "style"]
    assert {row["scale"]["name"] for row in rows if row["kind"] == "point"} == {"1-5"}


def test_frames_are_halved_between_two_clips(tmp_path: Path):
    write_llava(tmp_path)
    rows, _ = read_all("llava", tmp_path)
    (pair,) = [row for row in rows if row["prompt"] == "frames"]
    found = [decode_clip(candidate["media"], Sampling()) for candidate in pair["candidates"]]
    assert [[round(f.getpixel((3, 3))[0] / 10) for f in clip.frames] for clip in found] == [[1, 2], [3, 4]]
    (about,) = [row for row in rows if row["task"] == "video_understanding"]
    assert shade_of(about["context"][0]) == 3


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("<think>Image 1 is better.\nIt is sharp.</think>\n<answer>Image 2 is better</answer>", "second"),
        ("**Image 1 is better than Image 2.**", "first"),
        ("[[B>A]]", "second"),
    ],
)
def test_other_families_verdicts_are_read_by_the_judges_parsers(tmp_path: Path, answer: str, label: str):
    write_media(tmp_path)
    record = {"conversations": turns(generated("image", "x"), answer), "images": ["images/1.jpg", "images/2.jpg"]}
    write(tmp_path / "a.jsonl", json.dumps(record))
    (row,), _ = read_all("llava", tmp_path)
    assert row["label"] == label


def test_words_of_the_question_are_no_verdict(tmp_path: Path):
    # The instruction itself names both verdicts, and some data repeat it in the answer.
    write_media(tmp_path)
    question = generated("image", "x")
    record = {"conversations": turns(question, question), "images": ["images/1.jpg", "images/2.jpg"]}
    system = {"from": "system", "value": "You judge."}
    answered = {"conversations": [system, *turns(QUESTION, "Answer 1 is better.", 1)], "image": "images/1.jpg"}
    write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, [record, answered])))
    rows, rejected = read_all("llava", tmp_path)
    assert reasons(rejected) == [("a.jsonl:1", "no verdict")]
    assert [row["label"] for row in rows] == ["first"]


@pytest.mark.parametrize(("tokens", "task", "frames"), [(1, "video_understanding", 3), (3, "image_understanding", 1)])
def test_pictures_behind_one_place_are_a_clip(tmp_path: Path, tokens: int, task: str, frames: int):
    write_media(tmp_path)
    images = [f"images/{n}.jpg" for n in (1, 2, 3)]
    record = {"conversations": turns(QUESTION, "The better response: [second]", tokens), "images": images}
    write(tmp_path / "a.jsonl", json.dumps(record))
    (row,), _ = read_all("llava", tmp_path)
    assert (row["task"], [media["frames"] for media in row["context"]]) == (task, [frames] * len(row["context"]))
    assert len(row["context"]) == tokens


def test_bench_and_score_forms_are_read_as_llava_critic_has_them(tmp_path: Path):
    write_media(tmp_path)
    scored = "Question: [q]\nThe LMM response: [r]\nScore it out of 100."
    records = [
        {
            "conversations": turns(
                scored.replace("\nScore", "\nASSISTANT:\n").split("\nASSISTANT")[0], "Final Score: 85", 1
            )
        },
        {
            "conversations": turns(
                "Score it out of 100. Question: [q]\nThe LMM response: [r]", "Good.\nFinal Score: 85", 1
            )
        },
    ]
    write(tmp_path / "a.jsonl", "\n".join(json.dumps(r | {"image": "images/1.jpg"}) for r in records))
    rows, rejected = read_all("llava", tmp_path)
    assert [(row["score"], row["scale"]["name"], row["rationale"]) for row in rows] == [(85.0, "0-100", "Good.")]
    assert [why for _, why in reasons(rejected)] == ["unknown form of question"]

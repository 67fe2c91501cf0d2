"""Prompts of published data sets, in their own formats, as files that a run reads its prompts from."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pipeline.imports import content_of
from sources.native import cut, grey, write
from sources.native_answers import write_sharegptvideo_dpo
from sources.native_images import write_pick_a_pic
from sources.native_videos import write_videodpo

from urm_ray.config_file import build_as
from urm_ray.config_mix import Mix
from urm_ray.pipeline import import_prompts
from urm_ray.pipeline.attempts import Care
from urm_ray.pipeline.ledger import DIED, Ledger
from urm_ray.sources.check import check_prompt
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.prompts import PromptFile
from urm_ray.sources.questions import Questions
from urm_ray.sources.registry import SourceError
from urm_ray.store import StoreError

MANY = {"train_prompts": 99}


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def spread(work: Any, errands: Sequence[Any], cpus: float, unit_rows: int) -> Iterator[dict[str, Any]]:
        for errand in random.sample(list(errands), len(errands)):
            yield from work.work(*json.loads(json.dumps(errand)))

    monkeypatch.setattr(import_prompts, "spread", spread)


def taken(file: Path, source: str, path: Path, unit_rows: int = 3, **changes: Any) -> int:
    seed = {"seed": changes.pop("seed", 0)}
    settings = {"sources": [{"source": source, "path": str(path), **changes}], "unit_rows": unit_rows, **seed}
    return import_prompts.import_prompts(build_as(Mix, settings), str(file))


def prompts_of(file: Path, task: str) -> list[dict[str, Any]]:
    """What a run gets of a file, all of which it can use."""
    read = PromptFile(str(file), 0, task, MANY)  # type: ignore[arg-type]
    rows = list(read.read("train_prompts", 0, read.size("train_prompts")))
    assert all(isinstance(row, dict) and check_prompt(row) is None for row in rows), rows
    return rows  # type: ignore[return-value]


def write_questions(folder: Path) -> None:
    """Chats of LLaVA-RLHF's form, the pictures in a folder of their own."""
    for n in range(6):
        write(folder / "train2017" / f"{n}.jpg", grey(n))
    write(folder / "train2017" / "cut.jpg", cut(1))

    def chat(image: str | None, *said: str, first: str = "human") -> dict[str, Any]:
        roles = [first, "gpt"] * len(said)
        turns = [{"from": role, "value": text} for role, text in zip(roles, said, strict=False)]
        return {
            "id": "0",
            "conversations": turns,
            "output_1": {"from": "llava", "value": "A cat."},
            "preference": 1,
        } | ({"image": image} if image else {})

    records = [
        chat("0.jpg", "<image>\nWhat is it?"),
        chat("0.jpg", "What is it?\n<image>", "A cat.", "And this?"),  # the same prompt
        chat("1.jpg", "<image>\nWhat is it?", "A dog."),
        chat("2.jpg", "Is it\ngrey?<image>"),
        chat("3.jpg", "<image>", "Nothing was asked."),
        chat("cut.jpg", "What is broken?"),
        chat("gone.jpg", "What is missing?"),
        chat(None, "What has no picture?"),
        chat("4.jpg", "I begin.", first="gpt"),
    ]
    write(folder / "llava_7b_v1_preference.json", json.dumps(records))


def test_captions_come_once_each_without_their_pictures(tmp_path, capsys):
    write_pick_a_pic(tmp_path / "set")
    file = tmp_path / "prepared/captions.txt"
    assert taken(file, "pick-a-pic", tmp_path / "set") == 4
    captions = ["a tie", "cut short", "the first", "the second"]
    assert sorted(file.read_text().splitlines()) == captions
    assert sorted(row["prompt"] for row in prompts_of(file, "image_generation")) == captions
    assert not (file.parent / "media").exists()
    assert "1 left out: not labelled" in capsys.readouterr().out


def test_captions_of_clips_need_no_clips(tmp_path):
    write_videodpo(tmp_path / "set")
    for clip in (tmp_path / "set").rglob("*.mp4"):
        clip.unlink()
    assert taken(tmp_path / "captions.txt", "videodpo", tmp_path / "set") > 1
    assert prompts_of(tmp_path / "captions.txt", "video_generation")


def test_questions_about_clips_have_their_clips_beside_the_file(tmp_path):
    write_sharegptvideo_dpo(tmp_path / "set")
    file = tmp_path / "prepared/clips.jsonl"
    taken(file, "sharegptvideo-dpo", tmp_path / "set")
    rows = prompts_of(file, "video_understanding")
    assert {row["prompt"] for row in rows} == {"What does he do?", "And now?"}
    assert all([media["kind"] for media in row["context"]] == ["video"] for row in rows)
    assert len(list((file.parent / "media").iterdir())) == len({row["context"][0]["sha256"] for row in rows})


def test_first_questions_of_chats_have_their_pictures_beside_the_file(tmp_path, capsys):
    write_questions(tmp_path / "set")
    file, pictures = tmp_path / "prepared/llava_rlhf.jsonl", str(tmp_path / "set/train2017")
    assert taken(file, "questions", tmp_path / "set/llava_7b_v1_preference.json", media=pictures) == 3
    rows = prompts_of(file, "image_understanding")
    assert sorted(row["prompt"] for row in rows) == ["Is it\ngrey?", "What is it?", "What is it?"]
    assert {row["context"][0]["data"] for row in rows} == {grey(n) for n in range(3)}
    said = capsys.readouterr().out
    assert "3 prompts in" in said
    for reason in ("empty question", "undecodable picture", "missing picture", "no picture or clip", "no question"):
        assert f"1 left out: {reason}" in said


def test_so_many_are_taken_always_the_same_and_broken_ones_replaced(tmp_path):
    write_questions(tmp_path / "set")
    path, pictures = tmp_path / "set/llava_7b_v1_preference.json", str(tmp_path / "set/train2017")
    for seed in range(4):
        whole, parts = tmp_path / f"{seed}/whole", tmp_path / f"{seed}/parts"
        assert taken(whole / "p.jsonl", "questions", path, media=pictures, take=3, seed=seed, unit_rows=99) == 3
        assert taken(parts / "p.jsonl", "questions", path, media=pictures, take=3, seed=seed, unit_rows=1) == 3
        assert content_of(whole) == content_of(parts)
        assert taken(parts / "fewer.jsonl", "questions", path, media=pictures, take=2, seed=seed) == 2
        fewer = set((parts / "fewer.jsonl").read_text().splitlines())
        assert fewer < set((parts / "p.jsonl").read_text().splitlines())


def test_a_file_that_cannot_hold_what_there_is_is_refused(tmp_path):
    write_questions(tmp_path / "set")
    path, pictures = tmp_path / "set/llava_7b_v1_preference.json", str(tmp_path / "set/train2017")
    with pytest.raises(SourceError, match=r"cannot name what these prompts are about: take a \.jsonl"):
        taken(tmp_path / "p.txt", "questions", path, media=pictures)
    with pytest.raises(SourceError, match=r"neither a \.txt nor a \.jsonl"):
        taken(tmp_path / "p.csv", "questions", path)
    with pytest.raises(SourceError, match=r"no usable prompt in .*: .*of another task"):
        taken(tmp_path / "p.jsonl", "questions", path, media=pictures, task="video_understanding")
    assert not [file for file in tmp_path.iterdir() if file.name.startswith("p.")]


class GoneError(BaseException):
    """Stands for the end of a process."""


def ended() -> None:
    raise GoneError


def broken() -> None:
    raise ZeroDivisionError("bad")


def as_ray_does(work: Any, errands: Sequence[Any], cpus: float, unit_rows: int) -> Iterator[dict[str, Any]]:
    """In place of `spread`: an errand whose process ended is done by another, from its beginning."""
    work.share(Care(Ledger("import", 100, 0.05), 60.0), unit_rows)
    for errand in errands:
        for _ in range(9):
            try:
                yield from list(work.work(*errand))
                break
            except GoneError:
                pass
        else:
            raise AssertionError("it would be tried for ever")


@pytest.mark.parametrize(("what", "reason"), [(broken, "ZeroDivisionError: bad"), (ended, DIED)])
def test_a_picture_that_breaks_or_kills_its_reader_costs_its_prompt_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: Any, reason: str
) -> None:
    write_questions(tmp_path / "set")
    path, pictures = tmp_path / "set/llava_7b_v1_preference.json", str(tmp_path / "set/train2017")
    taken(tmp_path / "good/p.jsonl", "questions", path, media=pictures)
    read = MediaFolder.read

    def poisoned(self: MediaFolder, media: Any) -> dict[str, Any]:
        if media.path == "1.jpg":
            what()
        return read(self, media)

    monkeypatch.setattr(MediaFolder, "read", poisoned)
    monkeypatch.setattr(import_prompts, "spread", as_ray_does)
    capsys.readouterr()
    assert taken(tmp_path / "found/p.jsonl", "questions", path, media=pictures) == 2
    left = (tmp_path / "good/p.jsonl").read_text().splitlines()
    found = (tmp_path / "found/p.jsonl").read_text().splitlines()
    assert [line for line in left if line in found] == found
    assert f"1 left out: importing failed 2 times, at last because {reason}" in capsys.readouterr().out


def test_a_unit_that_cannot_be_listed_is_not_tried_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_questions(tmp_path / "set")
    monkeypatch.setattr(import_prompts, "spread", as_ray_does)
    monkeypatch.setattr(Questions, "drafts", lambda *_: ended())
    with pytest.raises(StoreError, match=f"unit 0 of questions failed 5 times, though its rows do not: {DIED}"):
        taken(tmp_path / "p.jsonl", "questions", tmp_path / "set/llava_7b_v1_preference.json")


def test_two_runs_do_not_write_one_file_at_once_and_a_file_beside_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pick_a_pic(tmp_path / "set")
    file, spread, told = tmp_path / "out/captions.txt", import_prompts.spread, []

    def meanwhile(*arguments: Any) -> Iterator[dict[str, Any]]:
        monkeypatch.setattr(import_prompts, "spread", spread)
        with pytest.raises(StoreError, match=rf"{file} is in use by process {os.getpid()}"):
            taken(file, "pick-a-pic", tmp_path / "set")
        told.append(taken(tmp_path / "out/others.txt", "pick-a-pic", tmp_path / "set", take=2))
        yield from spread(*arguments)

    monkeypatch.setattr(import_prompts, "spread", meanwhile)
    assert taken(file, "pick-a-pic", tmp_path / "set") == 4
    assert told == [2]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["captions.txt", "others.txt"]
    assert taken(file, "pick-a-pic", tmp_path / "set") == 4

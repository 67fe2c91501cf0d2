"""Rows at which reading itself fails, in a way that nobody foresaw, where data comes in."""

from __future__ import annotations

from pathlib import Path

import pytest
from poison.doors import imported, prompts, write_media

from urm_ray.pipeline import prepare
from urm_ray.sources.media_folder import MediaFolder
from urm_ray.sources.prompts import PromptFile
from urm_ray.sources.registry import Part, SourceError

REASON = "failed 2 times, at last because ZeroDivisionError: bad"


def test_a_prompt_that_breaks_its_check_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = prepare.check_prompt

    def breaking(row: dict) -> object:
        if row["prompt"] == "a prompt 3":
            raise ZeroDivisionError("bad")
        return check(row)

    lines = [{"prompt": f"a prompt {n}"} for n in range(6)]
    without = prompts(tmp_path / "without", [line for n, line in enumerate(lines) if n != 3])
    monkeypatch.setattr(prepare, "check_prompt", breaking)
    found = prompts(tmp_path / "broken", lines)
    assert [row["prompt"] for row in found.rows] == [row["prompt"] for row in without.rows]
    assert [f"preparing {REASON}" in why for why in found.aside.values()] == [True]


def test_a_prompt_whose_picture_breaks_its_reading_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = PromptFile.read

    def breaking(self: PromptFile, part: Part, start: int, stop: int) -> object:
        for row in read(self, part, start, stop):
            if isinstance(row, dict) and row["prompt"] == "a prompt 3":
                raise ZeroDivisionError("bad")
            yield row

    lines = [{"prompt": f"a prompt {n}"} for n in range(6)]
    without = prompts(tmp_path / "without", [line for n, line in enumerate(lines) if n != 3])
    monkeypatch.setattr(PromptFile, "read", breaking)
    found = prompts(tmp_path / "broken", lines)
    assert [row["prompt"] for row in found.rows] == [row["prompt"] for row in without.rows]
    assert [f"preparing {REASON}" in why for why in found.aside.values()] == [True]


def test_a_picture_that_breaks_its_reading_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = MediaFolder.fill

    def breaking(self: MediaFolder, draft: dict) -> object:
        if "prompt 2" in draft["prompt"]:
            raise ZeroDivisionError("bad")
        return fill(self, draft)  # type: ignore[arg-type]

    lines = ["id,prompt,image_1,image_2,label"]
    lines += [f"{n},prompt {n},{n % 4}.png,{(n + 1) % 4}.png,first" for n in range(5)]
    folder = tmp_path / "data"
    write_media(folder, b"", "other.png")
    monkeypatch.setattr(MediaFolder, "fill", breaking)
    found = imported(folder, lines)
    assert [row["prompt"] for row in found.rows] == [f"prompt {n}" for n in (0, 1, 3, 4)]
    assert [f"importing {REASON}" in why for why in found.aside.values()] == [True]


def test_a_source_that_cannot_be_read_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def gone(*_: object) -> object:
        tried.append(1)
        raise SourceError("the file is gone")

    monkeypatch.setattr(prepare, "check_prompt", gone)
    with pytest.raises(SourceError, match="the file is gone"):
        prompts(tmp_path / "gone", [{"prompt": "a prompt"}])
    assert tried == [1]

"""Candidates that are there already, whose reading fails in a way that nobody foresaw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from helpers import TASK, picture

from urm_ray import schema, store
from urm_ray.pipeline.actors import ReadCandidates
from urm_ray.pipeline.attempts import Care
from urm_ray.pipeline.ledger import DIED, Ledger
from urm_ray.pipeline.quarantine import failures
from urm_ray.pipeline.units import plan
from urm_ray.sources.prompts import PromptFile

REASON = "reading candidates failed 2 times, at last because "


class GoneError(BaseException):
    """Stands for the end of a process."""


def broken() -> None:
    raise ZeroDivisionError("bad")


def killed() -> None:
    raise GoneError


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    for shade in (10, 20, 30):
        picture(shade).save(tmp_path / f"{shade}.png")
    picture(40).save(tmp_path / "poison.png")
    lines = [{"prompt_id": f"p{n}", "prompt": f"prompt {n}", "candidates": ["10.png", "20.png"]} for n in range(4)]
    lines[2]["candidates"] = ["30.png", "poison.png"]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path / "mine.jsonl"


def read(mine: Path, care: Care | None = None) -> list[dict[str, Any]]:
    """The candidate sets of a file, by a process of its own."""
    rows = list(PromptFile(str(mine), 0, TASK, {"train_prompts": 9}).read("train_prompts", 0, 4))
    file = str(mine.parent / "prompts" / "unit-000000.parquet")
    store.write_table(file, schema.table_of(rows, schema.PROMPT))  # type: ignore[arg-type]
    found = ReadCandidates(str(mine), TASK, "sampler", care)(pa.Table.from_pylist(plan([file], 4)))
    return found.select(schema.CANDIDATE_SET.names).to_pylist()


@pytest.mark.parametrize(
    ("what", "reason", "deaths"), [(broken, "ZeroDivisionError: bad", 0), (killed, DIED, 2)], ids=["breaks", "kills"]
)
def test_a_candidate_that_breaks_or_kills_its_reader_costs_its_prompt_alone(
    mine: Path, monkeypatch: pytest.MonkeyPatch, what: Any, reason: str, deaths: int
) -> None:
    good, media, died = read(mine), PromptFile.media, []

    def poisoned(self: PromptFile, key: str, name: str) -> Any:
        if name == "poison.png":
            what()
        return media(self, key, name)

    monkeypatch.setattr(PromptFile, "media", poisoned)
    care = Care(Ledger("generate", 100, 0.05), 60.0)
    while True:  # as Ray does with a task whose process died
        try:
            found = read(mine, care)
            break
        except GoneError:
            died.append(1)
            assert len(died) < 9, "it would be tried for ever"
    assert len(died) == deaths
    assert [row for row in found if row["prompt_id"] != "p2"] == [row for row in good if row["prompt_id"] != "p2"]
    listed = failures(schema.table_of(found, schema.CANDIDATE_SET), "generate")
    assert [(row["row_id"], row["reason"], row["detail"]) for row in listed] == [
        ("p2", REASON + reason, f"candidate {n}") for n in range(2)
    ]

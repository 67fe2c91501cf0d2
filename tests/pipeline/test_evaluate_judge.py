"""Held-out preferences that get no verdict are put aside with their reasons, and counted."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from helpers import NOT_A_PICTURE, FakeEngine, pair_preference, point_preference, prefer_darker, shade_of

from urm_ray import schema, store
from urm_ray.judge.engine import Question, Reading
from urm_ray.judge.protocol import protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.pipeline.counts import gathered
from urm_ray.pipeline.evaluate_judge import AskUnit
from urm_ray.pipeline.quarantine import quarantined
from urm_ray.report.status import standing
from urm_ray.run_folder import Stage

BROKEN = "asking about failed 2 times, at last because ZeroDivisionError: bad"
NO_PICTURE = "the bytes are not a picture in PNG, JPEG, WEBP"


def answer(question: Question) -> Reading:
    if shade_of(question.media[0]) == 20 and len(question.media) == 1:
        raise ZeroDivisionError("bad")
    return prefer_darker(question)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Puts preferences to the judge, as a unit of the stage in this folder; the stage, and what was counted."""
    scorer = JudgeScorer(FakeEngine(answer), protocol("unified"))
    monkeypatch.setattr(JudgeScorer, "load", lambda *_, **__: scorer)
    stage = Stage(str(tmp_path / "judge-0"), "judge", "0")

    def asked(rows: list[dict], unit: int = 0):
        file = str(tmp_path / "rows" / f"{unit}.parquet")
        store.write_table(file, schema.table_of(rows, schema.PREFERENCE))
        work = AskUnit({}, "path", stage.path("judge"), 1, 0.0, stage=stage.name)
        return stage, gathered(work(pa.Table.from_pylist([{"unit": unit, "file": file}])))

    return asked


def media(record: dict) -> dict:
    return {"media": record, "text": None}


def bad_ones() -> list[dict]:
    good = pair_preference()["candidates"]
    return [
        pair_preference(8, candidates=[media(NOT_A_PICTURE), good[1]]),
        point_preference(9, candidates=[good[1]]),  # breaks the judge
    ]


def test_preferences_without_a_verdict_are_in_the_quarantine_and_counted(ask) -> None:
    rows = [pair_preference(0), *bad_ones(), point_preference(1)]
    stage, counts = ask(rows)
    (file,) = stage.units("quarantine/judge")
    found = store.read_table(file)
    assert found.schema.equals(schema.QUARANTINE)
    assert found.to_pylist() == [
        {"row_id": "pair8", "stage": "judge", "reason": NO_PICTURE, "detail": "pair verdict 0 over 1"},
        {"row_id": "pair8", "stage": "judge", "reason": NO_PICTURE, "detail": "pair verdict 1 over 0"},
        {"row_id": "point9", "stage": "judge", "reason": BROKEN, "detail": "point verdict 0"},
    ]
    assert quarantined(stage, "judge") == {NO_PICTURE: 2, BROKEN: 1}
    assert counts == {
        ("verdicts", "first"): 1,
        ("verdicts", "second"): 1,
        ("verdicts", "score"): 1,
        ("verdicts", "media_error"): 2,
        ("verdicts", "unparsed"): 1,
        ("put_aside", "pair_verdict"): 2,
        ("put_aside", "point_verdict"): 1,
    }
    assert [row["preference_id"] for row in stage.rows("judge").to_pylist()] == [row["preference_id"] for row in rows]


def test_a_stage_that_goes_on_adds_to_its_quarantine(ask, tmp_path: Path) -> None:
    first, second = bad_ones()
    ask([first])
    stage, _ = ask([second, pair_preference(0)], unit=1)
    assert quarantined(stage, "judge") == {NO_PICTURE: 2, BROKEN: 1}
    # A unit that was not finished is asked about again: what it put aside before is forgotten.
    stage, _ = ask([pair_preference(0)], unit=0)
    assert quarantined(stage, "judge") == {BROKEN: 1}


def test_the_status_of_a_run_tells_what_the_judge_had_no_verdict_on(ask, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("digests: {judge: '0'}")
    ask(bad_ones())
    (told,) = standing(str(tmp_path))["stages"]
    assert told["put_aside"] == {NO_PICTURE: 2, BROKEN: 1}

"""Failures of a stage's rows, gathered in one place."""

from __future__ import annotations

from helpers import candidate, candidate_set, pair_verdict, point_verdict

from urm_ray import schema, store
from urm_ray.pipeline.quarantine import failures, quarantined
from urm_ray.pipeline.units import WriteUnits, mark_unit
from urm_ray.run_folder import Stage


def judged(number: int, **changes) -> dict:
    row = candidate_set(2, prompt_id=f"p{number}")
    return row | {"pair_verdicts": [], "point_verdicts": [], "scale": None, "judge_digest": "j"} | changes


def table(*rows: dict):
    return schema.table_of(list(rows), schema.JUDGED_SET)


def test_candidates_and_verdicts_that_failed_are_listed_with_their_reasons():
    failed = {"index": 1, "seed": 1, "media": None, "text": None, "error": "not a number"}
    rows = table(
        judged(0),
        judged(1, candidates=[candidate(0), failed]),
        judged(
            2,
            pair_verdicts=[pair_verdict(0, 1, "first"), pair_verdict(1, 0, "unparsed") | {"reason": "it says nothing"}],
            point_verdicts=[point_verdict(0, 3.0), point_verdict(1, None, "refused")],
        ),
    )
    assert failures(rows, "generate") == [
        {"row_id": "p1", "stage": "generate", "reason": "not a number", "detail": "candidate 1"},
        {"row_id": "p2", "stage": "generate", "reason": "it says nothing", "detail": "pair verdict 1 over 0"},
        {"row_id": "p2", "stage": "generate", "reason": "refused", "detail": "point verdict 1"},
    ]


def test_nothing_is_listed_where_nothing_failed(tmp_path):
    rows = table(judged(0, pair_verdicts=[pair_verdict(0, 1, "tie")]), judged(1))
    assert failures(rows, "generate") == []
    stage = Stage(str(tmp_path), "generate", "0")
    WriteUnits(stage.path("judged"), "prompt_id", schema.JUDGED_SET, stage="generate")(
        mark_unit(rows, {"unit": 0, "rows": 2})
    )
    assert not store.exists(stage.path("quarantine"))
    assert quarantined(stage, "judged") == {}


def test_pairs_that_cannot_be_trained_on_are_listed_and_those_that_were_sifted_out_are_not():
    nothing = dict.fromkeys(schema.ENCODED_PAIR.names)
    reasons = [None, "tie", "surplus", "media_error", "media_error: the picture does not decode"]
    rows = [nothing | {"prompt_id": f"p{n}", "dropped": reason} for n, reason in enumerate(reasons)]
    found = failures(schema.table_of(rows, schema.ENCODED_PAIR), "dpo")
    assert [(row["row_id"], row["reason"]) for row in found] == [("p4", reasons[4])]


def test_failures_stand_beside_the_unit_and_are_counted(tmp_path, capsys):
    stage = Stage(str(tmp_path), "generate", "0")
    failed = {"index": 0, "seed": 1, "media": None, "text": None, "error": "black"}
    writer = WriteUnits(stage.path("judged"), "prompt_id", schema.JUDGED_SET, stage="generate")
    for unit in range(2):
        rows = table(*[judged(n, candidates=[failed, candidate(1)]) for n in range(unit + 1)])
        writer(mark_unit(rows, {"unit": unit, "rows": unit + 1}))
    assert len(stage.units("quarantine/judged")) == len(stage.units("judged")) == 2
    assert store.read_table(stage.units("quarantine/judged")[0]).schema.equals(schema.QUARANTINE)
    assert quarantined(stage, "judged") == {"black": 3}
    assert "3 failures are in" in capsys.readouterr().out


def test_a_unit_that_fails_at_nothing_the_second_time_has_no_failures_left(tmp_path):
    failed = {"index": 0, "seed": 1, "media": None, "text": None, "error": "black"}
    stage = Stage(str(tmp_path), "generate", "0")
    writer = WriteUnits(stage.path("judged"), "prompt_id", schema.JUDGED_SET, stage="generate")
    for candidates in ([failed, candidate(1)], [candidate(0), candidate(1)]):
        writer(mark_unit(table(judged(0, candidates=candidates)), {"unit": 0, "rows": 1}))
    assert quarantined(stage, "judged") == {}

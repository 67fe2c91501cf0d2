"""What is counted of rows, and how it comes to whoever counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from helpers import candidate, candidate_set, pair_verdict, point_verdict

from urm_ray import schema
from urm_ray.pipeline.counts import COUNTS, found_in, gathered, kind_of, noted, of_row, part_of
from urm_ray.pipeline.pools import bind
from urm_ray.spent import Spent


def judged(number: int, pairs: list[dict[str, Any]], points: list[dict[str, Any]]) -> dict[str, Any]:
    said = {"pair_verdicts": pairs, "point_verdicts": points, "scale": None, "judge_digest": "j"}
    return candidate_set(2) | {"prompt_id": f"p{number}"} | said


def test_candidates_verdicts_and_what_failed_of_them_are_counted():
    lost = candidate(1, media=None, error="it was not to be")
    rows = [
        judged(0, [pair_verdict(0, 1, "first"), pair_verdict(1, 0, "tie")], [point_verdict(0, 3.0)]),
        judged(1, [pair_verdict(0, 1, "unparsed")], [point_verdict(1, None, "media_error")]),
    ]
    rows[1]["candidates"][1] = lost
    assert found_in(schema.table_of(rows, schema.JUDGED_SET)) == {
        ("candidates", ""): 3,
        ("verdicts", "first"): 1,
        ("verdicts", "tie"): 1,
        ("verdicts", "score"): 1,
        ("verdicts", "unparsed"): 1,
        ("verdicts", "media_error"): 1,
        ("put_aside", "candidate"): 1,
        ("put_aside", "pair_verdict"): 1,
        ("put_aside", "point_verdict"): 1,
    }


def test_pairs_are_counted_with_the_reasons_of_those_that_are_none():
    reasons = [None, None, "tie", "surplus", "media_error: cut off", "encoding failed 2 times, at last because of x"]
    rows = pa.table({"prompt_id": [f"p{n}" for n in range(6)], "dropped": reasons})
    assert found_in(rows) == {
        ("pairs", ""): 2,
        ("dropped", "tie"): 1,
        ("dropped", "surplus"): 1,
        ("dropped", "media_error"): 1,
        ("dropped", "failed"): 1,
        ("put_aside", "pair"): 2,
    }


@pytest.mark.parametrize(("reason", "kind"), [("no_margin", "no_margin"), ("", "failed"), ("two words", "failed")])
def test_reasons_become_few_tags(reason, kind):
    assert kind_of(reason) == kind


@pytest.mark.parametrize(
    ("detail", "part"), [("pair verdict 0 over 12", "pair_verdict"), ("candidate 3", "candidate"), ("7", "row")]
)
def test_what_failed_is_told_without_its_number(detail, part):
    assert part_of(detail) == part


def test_counts_stay_whole_however_rows_are_regrouped():
    rows = noted(pa.table({"n": [1, 2, 3]}), "work of A", {("questions", "A"): 4, ("actor_seconds", "A"): 0.5})
    rows = noted(rows, "work of B", {("questions", "B"): 1})
    parts = [rows.slice(2), rows.slice(0, 1), rows.slice(1, 1)]
    assert sum((gathered(part) for part in parts), Counter()) == gathered(rows)
    assert gathered(rows) == {("questions", "A"): 4, ("actor_seconds", "A"): 0.5, ("questions", "B"): 1}
    assert sum((of_row(row) for row in rows.to_pylist()), Counter()) == gathered(rows)
    empty = noted(rows.slice(0, 0), "more", {("rows", ""): 1})
    assert empty.schema.field("more").type == COUNTS
    assert gathered(empty) == {}


class Asker:
    """An actor that knows what it spends."""

    def __init__(self, each: int) -> None:
        self.each, self.spent = each, Spent()

    def __call__(self, batch: pa.Table) -> pa.Table:
        self.spent.add(questions=self.each * len(batch), tokens_read=100)
        return batch


class Silent:
    """An actor that knows nothing of the kind."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        return batch


def test_a_bound_actor_notes_what_each_call_took():
    actor = bind(Asker, each=3)()
    first, second = actor(pa.table({"n": [1, 2]})), actor(pa.table({"n": [1]}))
    assert gathered(first)["questions", "Asker"] == 6
    assert gathered(second)["questions", "Asker"] == 3
    assert gathered(second)["tokens_read", "Asker"] == 100
    assert gathered(first)["actor_seconds", "Asker"] > 0
    assert {name for name, _ in gathered(bind(Silent)()(pa.table({"n": [1]})))} == {"actor_seconds"}

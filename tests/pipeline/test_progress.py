from types import SimpleNamespace

import pytest

from urm_ray.pipeline.progress import Progress, at_work


def operator(name: str, seconds: float | None) -> SimpleNamespace:
    return SimpleNamespace(operator_name=name, wall_time=None if seconds is None else SimpleNamespace(sum=seconds))


def summary(*operators: SimpleNamespace, parents: tuple = ()) -> SimpleNamespace:
    return SimpleNamespace(operators_stats=list(operators), parents=list(parents))


EXECUTION = summary(
    operator("MapBatches(WriteUnits)", 0.5),
    parents=(
        summary(operator("MapBatches(Judge)", 19.0), parents=(summary(operator("MapBatches(Sample)", 5.0)),)),
        summary(operator("FromItems", 1.0)),
    ),
)


def test_actors_at_work_are_told_by_class_in_the_order_of_the_pipeline():
    assert list(at_work(EXECUTION, 10.0).items()) == [("Sample", 0.5), ("Judge", 1.9), ("WriteUnits", 0.05)]


def test_operators_that_run_as_one_share_a_figure_and_one_without_a_clock_has_none():
    fused = summary(
        operator("MapBatches(ReadCandidates)->MapBatches(AskNothing)", 2.0), operator("MapBatches(Judge)", None)
    )
    assert at_work(fused, 4.0) == {"ReadCandidates+AskNothing": 0.5}


def test_the_last_line_says_who_was_busy(capsys):
    progress = Progress("generate", 4)
    progress.started -= 10.0
    assert progress.show_at_work(EXECUTION)["Judge"] == pytest.approx(1.9, rel=0.05)
    assert "[generate] at work at a time, in the mean: Sample 0.50, Judge 1.90" in capsys.readouterr().out

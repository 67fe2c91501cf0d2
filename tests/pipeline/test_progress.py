import itertools
import os
import time
from types import SimpleNamespace

import pytest

from urm_ray.pipeline.progress import Progress, at_work
from urm_ray.run_folder import Stage


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
    assert progress.show_at_work(EXECUTION, 10.0)["Judge"] == pytest.approx(1.9)
    assert "[generate] at work at a time, in the mean: Sample 0.50, Judge 1.90" in capsys.readouterr().out


def counts() -> dict[tuple[str, str], float]:
    """Of a generate stage, whose judges were at work for four seconds."""
    return {
        ("candidates", ""): 8,
        ("verdicts", "first"): 10,
        ("verdicts", "unparsed"): 2,
        ("put_aside", "pair_verdict"): 2,
        ("tokens_read", "Judge"): 3000,
        ("questions", "Judge"): 12,
        ("actor_seconds", "Judge"): 4.0,
    }


def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that a progress goes by, which stands until it is set."""
    now = [0.0]
    monkeypatch.setattr("urm_ray.pipeline.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_line_says_what_was_made_how_fast_and_who_was_at_work(monkeypatch, capsys):
    now = clock(monkeypatch)
    progress = Progress("generate-image_generation", 20, done=4)
    now[0] = 10.0
    progress.add(4, counts())
    assert capsys.readouterr().out == (
        "[generate-image_generation] 8/20 rows, 8 candidates, 12 verdicts (2 unparsed), 2 put aside (2 pair verdict); "
        "0.4/s, 30.0 s left, 300 tokens/s read, at work Judge 0.40\n"
    )


def test_figures_that_are_not_known_are_left_out(monkeypatch, capsys):
    clock(monkeypatch)[0] = 0.0
    progress = Progress("import: mine, read", 3, unit="units")
    progress.show()
    assert capsys.readouterr().out == "[import: mine, read] 0/3 units\n"


def test_lines_come_seldom_once_a_stage_takes_long_and_their_rates_are_of_the_last_minute(monkeypatch, capsys):
    now = clock(monkeypatch)
    progress = Progress("generate", 10_000)
    said = []
    for second in range(1, 3601):
        now[0] = float(second)
        progress.add(1 if second <= 3000 else 2)
        if out := capsys.readouterr().out:
            said.append((second, out))
    gaps = [after - before for (before, _), (after, _) in itertools.pairwise(said)]
    assert said[0][0] == 5
    assert gaps == sorted(gaps)
    assert gaps[-1] == 60
    assert len(said) < 110
    assert " 2/s, " in said[-1][1]
    progress.show()
    assert " 1.17/s, " in capsys.readouterr().out


def test_the_folder_of_a_stage_tells_how_far_it_is_until_it_is_done(monkeypatch, tmp_path):
    now, stage = clock(monkeypatch), Stage(str(tmp_path / "generate-0123"), "generate", "0123")
    assert stage.noted() is None
    progress = Progress("generate: part", 20, stage=stage)
    assert stage.noted()["rows"] == 0
    now[0] = 10.0
    progress.add(5, counts())
    noted = stage.noted()
    assert (noted["rows"], noted["total"], noted["part"], noted["left_s"]) == (5, 20, "part", 30.0)
    assert noted["counts"]["verdicts"] == {"first": 10, "unparsed": 2}
    assert noted["time"] == pytest.approx(time.time(), abs=60)
    stage.finish(1.0)
    assert stage.noted() is None
    assert os.listdir(stage.uri) == ["manifest.json"]


def test_that_progress_cannot_be_noted_is_no_reason_to_stop(tmp_path, capsys):
    (tmp_path / "file").touch()
    Progress("generate", 20, stage=Stage(str(tmp_path / "file" / "below"), "generate", "0")).show()
    assert "0/20 rows" in capsys.readouterr().out

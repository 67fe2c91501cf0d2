"""What runs the speed comparisons; the comparisons themselves are too long for a test."""

import ast
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.rounds import Result, Side, in_turns
from helpers import ROOT

FOLDER = ROOT / "tests" / "benchmarks"


@pytest.fixture
def registered(monkeypatch) -> dict[str, tuple[str, dict[str, object], str]]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(os, "environ", os.environ.copy())
    return runpy.run_path(str(FOLDER / "run.py"))["BENCHMARKS"]


def parameters(module: str) -> set[str]:
    """Of a module's `benchmark`, read off its source."""
    tree = ast.parse(Path(FOLDER, f"{module}.py").read_text("utf-8"))
    (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "benchmark")
    arguments = function.args
    return {one.arg for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}


def test_every_registered_benchmark_is_there_and_takes_its_options(registered):
    for name, (module, options, _) in registered.items():
        assert {"rounds", *options} <= parameters(module), name


def test_every_benchmark_is_listed(registered):
    listed = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--list"], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(registered)
    assert {"judge-stage", "streaming", "prompts-100k", "scaling", "diffusion-dpo"} <= set(registered)


def test_sides_take_turns_after_one_turn_each_that_does_not_count():
    turns = []

    def side(name: str, units: float) -> Side:
        return Side(name, lambda: turns.append(name) or (units * len(turns), 2.0))

    found = in_turns(side("ours", 4), side("theirs", 2), 3, "pairs", 1.5, turns=lambda: len(turns), size="tiny")
    assert turns == ["ours", "theirs", "ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert found.ours == ("ours", [6.0, 12.0, 14.0])
    assert found.theirs == ("theirs", [4.0, 5.0, 8.0])
    assert found.checks == {"turns": 8, "size": "tiny"}


def test_a_side_without_a_clock_of_its_own_is_timed():
    rate = Side("sleeper", lambda: time.sleep(0.05) or 10).rate()
    assert 10 / 0.5 < rate <= 10 / 0.05


def test_the_ratio_is_taken_round_by_round():
    report = Result("pairs", ("ours", [2.0, 9.0, 4.0]), ("theirs", [1.0, 3.0, 1.0]), 2.0, {"same": True}).report()
    assert report["ratio"] == {"median": 3.0, "min": 2.0, "max": 4.0, "rounds": 3}
    assert (report["unit"], report["target"], report["checks"]) == ("pairs a second", 2.0, {"same": True})
    assert report["ours"] == {"what": "ours", "rates": [2.0, 9.0, 4.0], "median": 4.0, "min": 2.0, "max": 9.0}
    assert report["theirs"]["median"] == 1.0
    with pytest.raises(ValueError, match="shorter"):
        Result("pairs", ("ours", [1.0, 2.0]), ("theirs", [1.0]), 2.0).report()

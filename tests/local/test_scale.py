"""Prompts and units cost what cluster/SCALE.md reckons with, but for the memory of Ray's own servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import run_python

pytestmark = pytest.mark.local


def test_what_is_written_of_a_prompt_and_of_a_unit_is_what_the_model_says(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    done = run_python("tests/benchmarks/run.py", "actor-time", "--rounds", "1", "--out", str(file), timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(file.read_text())["checks"]
    units = found["prompts"] / found["prompts a unit"]
    assert found["files"] == {"judged": units, "sifted": units}
    assert 12_000 < found["bytes a unit"]["judged"] < 19_000
    assert 15_000 < found["bytes a unit"]["sifted"] < 24_000
    assert 600 < found["bytes of standings a prompt"] < 1100
    # A clock of the CPU, so that other work beside it matters little; the bounds are ten times what was measured.
    assert sum(ms["median"] for ms in found["CPU ms a prompt"].values()) < 50

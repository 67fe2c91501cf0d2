"""Thousands of prompts cost what cluster/SCALE.md reckons with, prompt by prompt and unit by unit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers import run_python

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("scale") / "found.json"
    done = run_python("tests/benchmarks/run.py", "scale-small", "--rounds", "1", "--out", str(file), timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(file.read_text())["checks"]["rounds"][0]


def test_a_unit_is_a_file_in_each_stage_and_the_manifest_does_not_grow(found: dict[str, Any]) -> None:
    assert found["units"] == found["prompts"] / found["prompts a unit"]
    for stage, tables in (("generate", 1), ("pairs", 0)):
        assert found[stage]["files of units"] == found["units"]
        assert found[stage]["other files"] == 1 + tables, stage
        assert found[stage]["bytes of the manifest"] < 1000

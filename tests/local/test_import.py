"""Published data sets are imported through the command line, a second time after a loss, and read by a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import run_python
from local.smoke import TASK
from pipeline.imports import content_of, rows_in, write_sources
from sources.native_general import write_llava

pytestmark = pytest.mark.local

JOB = """
import json, os, runpy, sys
for step in json.loads(sys.argv[1]):
    print("#", flush=True)
    if isinstance(step, str):
        os.remove(step)
        continue
    sys.argv = ["jobs/prepare_data.py", *step]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        assert ended.code == 0, step
"""
"""The job with one command line after another, in one process, so that Ray starts once; a text is a file to remove."""


def printed(steps: list[Any]) -> list[str]:
    done = run_python("-c", JOB, json.dumps(steps), timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.split("#")[1:]


def sources_of(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "mix.json").read_text())["sources"]


def test_sources_are_imported_again_only_where_something_is_missing_and_read_by_a_run(tmp_path: Path) -> None:
    settings = write_sources(tmp_path)
    write_llava(tmp_path / "judge")
    settings["sources"].append({"source": "llava", "path": "judge"})
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump(settings))
    out, again = tmp_path / "out", tmp_path / "again"
    mix = ["--mix", str(tmp_path / "mix.yaml"), "--out"]
    lost = ["mix.json", "_units/preferences/read/unit-000000.json", "preferences/unit-000000.parquet"]
    wanted = {"preferences": "parquet", "preferences_path": out, "train_pairs": 9, "train_points": 9}
    wanted |= {"heldout_pairs": 1, "heldout_points": 1}
    run = ["--config", "jobs/configs/smoke.yaml", "--set", f"run.dir={tmp_path / 'run'}"]
    run += [part for name, value in wanted.items() for part in ("--set", f"prepare.{name}={value}")]
    one = ["--source", "llava", "--path", str(tmp_path / "judge"), "--out", str(tmp_path / "one")]
    one += ["--limit", "6", "--seed", "2"]
    taken = ["--source", "csv", "--path", str(tmp_path / "labels"), "--limit", "4"]
    taken += ["--prompts", str(tmp_path / "prompts.txt")]
    steps = [
        taken,
        one,
        [*mix, str(out)],
        [*mix, str(again)],
        *(str(again / name) for name in lost),
        [*mix, str(again)],
        run,
    ]
    said = printed(steps)

    prompts = (tmp_path / "prompts.txt").read_text().splitlines()
    assert len(prompts) == len(set(prompts)) == 4
    assert all(prompt.startswith("prompt ") for prompt in prompts)
    assert "4 prompts in" in said.pop(0)

    (source,) = sources_of(tmp_path / "one")
    assert (source["found"], source["take"]) == (6, 6)
    assert source["dropped"]["unknown form of question"] == 1
    assert len({row["preference_id"] for row in rows_in(tmp_path / "one" / "llava")}) == 6

    assert "preferences: 8 rows where 99 were expected" in said[1]
    assert [source["found"] for source in sources_of(out)] == [4, 7, 8, 9]
    assert {line.split("]")[0] for line in said[-2].splitlines() if line.startswith("[")} == {
        "[import: preferences, read"
    }
    assert content_of(again) == content_of(out)

    (stage,) = (tmp_path / "run").glob(f"prepare-{TASK}-*")
    assert json.loads((stage / "manifest.json").read_text())["quarantined"] == {}
    trained = [row for part in ("train_pairs", "train_points") for row in rows_in(stage / part)]
    assert {row["source"] for row in trained} == {"csv", "test", "llava"}

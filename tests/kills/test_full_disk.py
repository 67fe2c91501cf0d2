"""A disk that is full in the midst of a stage, on a small file system of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import small_disk
from kills.test_matrix import content, folder_of
from local.smoke import TASK, job

pytestmark = pytest.mark.local

LEFT = 48 << 10
"""Bytes for what a stage writes at its start and for some of its units."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 64) as folder:
        yield folder


def test_a_full_disk_is_named_and_the_stage_goes_on_once_there_is_space(disk: Path, smoke_run: Path) -> None:
    run, filler = disk / "run", disk / "filler"
    shutil.copytree(smoke_run, run, ignore=shutil.ignore_patterns(f"generate-{TASK}-*", f"pairs-{TASK}-*"))
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - LEFT))
    arguments = ("generate_pairs", run, "--set", "run.min_free_mib=0")
    stopped = job(*arguments)
    assert stopped.returncode == 1, stopped.stdout[-2000:] + stopped.stderr[-2000:]
    said = stopped.stderr.splitlines()[-1]
    assert said.startswith(f"error: no free space in {run}")
    assert re.search(r": \d+\.\d MiB are left, \d+\.\d MiB are needed for this file alone; make room", said), said
    assert "seconds.json" not in said, "the first file that did not fit is told, and none that is written after it"
    stage = folder_of(run, f"generate-{TASK}")
    assert not (stage / "manifest.json").exists()
    done = {file: file.stat().st_mtime_ns for file in stage.glob("judged/unit-*.parquet")}
    assert done, "the disk was full before there was any unit"
    filler.unlink()
    resumed = job(*arguments)
    assert resumed.returncode == 0, resumed.stdout[-2000:] + resumed.stderr[-2000:]
    assert content(stage) == content(folder_of(smoke_run, f"generate-{TASK}"))
    assert {file: file.stat().st_mtime_ns for file in done} == done

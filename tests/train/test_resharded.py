"""DeepSpeed's state of two workers is taken up by one under every ZeRO stage, whole and in bfloat16."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from training.resharded import CASES, SAVED, STEPS

pytestmark = pytest.mark.train


def losses(world: int, folder: Path) -> dict[str, list[float]]:
    """What so many ranks print."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    ranks = [
        subprocess.Popen(
            [sys.executable, "tests/training/resharded.py", str(rank), str(world), port, str(folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]
    printed = [rank.communicate(timeout=400)[0] for rank in ranks]
    assert not any(rank.returncode for rank in ranks), printed[0][-3000:]
    (line,) = [line for line in printed[0].splitlines() if line.startswith("LOSSES ")]
    return json.loads(line.removeprefix("LOSSES "))


def test_one_worker_goes_on_where_two_were(tmp_path: Path) -> None:
    two, one = losses(2, tmp_path), losses(1, tmp_path)
    assert len(two) == len(CASES)
    for case, expected in two.items():
        assert len(expected) == STEPS - SAVED
        assert one[case] == pytest.approx(expected, rel=2e-2 if "True" in case else 1e-5), case

"""Jobs of the smoke run, through the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TASK, OTHER = TASKS = ("image_generation", "video_understanding")
"""Pictures are made, and answers about clips; most tests look at the first."""
OWN = f"policies.{TASK}"
SETTINGS = {
    "tasks": f"[{', '.join(TASKS)}]",
    "prepare.unit_rows": 10,
    "reward.steps": 8,
    "reward.checkpoint_steps": 2,
    f"{OWN}.generate.unit_rows": 1,
    f"{OWN}.dpo.steps": 8,
    f"{OWN}.dpo.checkpoint_steps": 2,
    f"{OWN}.evaluate.unit_rows": 1,
}
"""Small parts and many checkpoints, so that a stage can be ended between any two."""


def arguments(name: str, run: Path, *extra: str, config: str = "smoke.yaml") -> list[str]:
    """What Python is given for a job of the run in a folder."""
    settings = [f"{key}={value}" for key, value in {"run.dir": run, **SETTINGS}.items()]
    assignments = [word for setting in settings for word in ("--set", setting)]
    return [f"jobs/{name}.py", "--config", f"jobs/configs/{config}", *assignments, *extra]


def job(
    name: str, run: Path, *extra: str, config: str = "smoke.yaml", timeout: float = 1100
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments(name, run, *extra, config=config)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, env={**os.environ})

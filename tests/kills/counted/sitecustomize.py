"""Notes in the file that URM_RAY_CALLS names whenever a worker samples or judges a prompt, a line each, and makes units
take their time, so that there is always one under way. Where a file of that name with `.leave` is beside it, the number
in it is how many prompts may be judged: the next one is noted, and waits.

Python imports this module by itself where its folder is on PYTHONPATH, in workers of Ray too.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

PAUSE_S = 0.6
WAIT_S = 60.0
"""So long does a prompt that was given leave, and lost with its judge, hold up others that come before it again."""


def note(kind: str, prompt_id: str) -> None:
    with open(os.environ["URM_RAY_CALLS"], "a", encoding="utf-8") as file:
        file.write(f"{kind} {prompt_id}\n")


def wait_for_leave(prompt_id: str) -> None:
    """Returns once a prompt may be judged. One that was judged already may be again."""
    calls = Path(os.environ["URM_RAY_CALLS"])
    leave, judged = calls.with_suffix(".leave"), calls.with_suffix(".judged")
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        known = set(judged.read_text(encoding="utf-8").splitlines()) if judged.exists() else set()
        try:
            most = int(leave.read_text(encoding="utf-8") or 0)
        except FileNotFoundError:
            return
        if prompt_id in known or len(known) < most:
            break
        time.sleep(0.02)
    with judged.open("a", encoding="utf-8") as file:
        file.write(f"{prompt_id}\n")


def slow_preparing(module: Any) -> None:
    unit = module.PrepareUnit._unit

    def slowly(self: Any, *arguments: Any) -> Any:
        time.sleep(PAUSE_S)
        return unit(self, *arguments)

    module.PrepareUnit._unit = slowly


def count(module: Any) -> None:
    sample, judge = module.Sample._joint, module.Judge._said

    def joint(self: Any, prompts: Any, done: Any, aside: Any) -> Any:
        for row in prompts:
            note("sample", row["prompt_id"])
            time.sleep(PAUSE_S)
        return sample(self, prompts, done, aside)

    def said(self: Any, row: Any) -> Any:
        note("judge", row["prompt_id"])
        wait_for_leave(row["prompt_id"])
        time.sleep(PAUSE_S)
        return judge(self, row)

    module.Sample._joint, module.Judge._said = joint, said


CHANGES = {"urm_ray.pipeline.actors": count, "urm_ray.pipeline.prepare": slow_preparing}


class Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in CHANGES:
            return None
        change = CHANGES.pop(name)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def run(module: Any) -> None:
            execute(module)
            change(module)

        spec.loader.exec_module = run  # type: ignore[method-assign]
        return spec


if "URM_RAY_CALLS" in os.environ:
    sys.meta_path.insert(0, Finder())

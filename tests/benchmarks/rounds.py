"""Two sides that do the same work in turns, and what came of it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Side:
    """One way of doing the work. run: does it once and returns how many units it did, or (units, seconds) where not all
    of its time counts."""

    name: str
    run: Callable[[], float | tuple[float, float]]

    def rate(self) -> float:
        """Units a second."""
        start = time.perf_counter()
        done = self.run()
        took = time.perf_counter() - start
        units, seconds = done if isinstance(done, tuple) else (done, took)
        return units / seconds


@dataclass(frozen=True)
class Result:
    """The rates of both sides in each round. checks: whatever shows that both did the same work, by name."""

    unit: str
    ours: tuple[str, list[float]]
    theirs: tuple[str, list[float]]
    target: float
    checks: dict[str, Any] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        ratios = [mine / other for mine, other in zip(self.ours[1], self.theirs[1], strict=True)]
        return {
            "unit": f"{self.unit} a second",
            "ratio": spread(ratios) | {"rounds": len(ratios)},
            "target": self.target,
            "ours": {"what": self.ours[0], "rates": self.ours[1]} | spread(self.ours[1]),
            "theirs": {"what": self.theirs[0], "rates": self.theirs[1]} | spread(self.theirs[1]),
            "checks": self.checks,
            "machine": machine(),
        }


def spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "min": min(values), "max": max(values)}


def in_turns(ours: Side, theirs: Side, rounds: int, unit: str, target: float, **checks: Any) -> Result:
    """Rounds of both sides, the one that begins changing from round to round, after one turn each to warm up.

    checks: called with no arguments after the rounds where they can be called.
    """
    sides = (ours, theirs)
    for side in sides:
        side.rate()
    rates: dict[str, list[float]] = {side.name: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            rates[side.name].append(side.rate())
    found = {name: check() if callable(check) else check for name, check in checks.items()}
    return Result(unit, (ours.name, rates[ours.name]), (theirs.name, rates[theirs.name]), target, found)


def machine() -> str:
    """What this ran on."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"

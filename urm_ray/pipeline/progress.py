"""One line now and then about how far a stage is, and one at its end about who was busy; reads well on a terminal and
in a job's log."""

from __future__ import annotations

import re
import time
from typing import Any


class Progress:
    """Counts rows and prints at most every `every` seconds."""

    def __init__(self, name: str, total: int, counted: str | None = None, every: float = 5.0) -> None:
        self.name, self.total, self.label, self.every = name, total, counted, every
        self.rows = self.counted = 0
        self.started = self.printed = time.monotonic()

    def add(self, rows: int, counted: int) -> None:
        self.rows, self.counted = self.rows + rows, self.counted + counted
        now = time.monotonic()
        if now - self.printed >= self.every:
            self.printed = now
            self.show()

    def show(self) -> None:
        rate = self.rows / max(1e-9, time.monotonic() - self.started)
        counted = f", {self.counted} {self.label}" if self.label else ""
        print(f"[{self.name}] {self.rows}/{self.total}{counted}, {rate:.1f}/s", flush=True)

    def show_at_work(self, summary: Any) -> dict[str, float]:
        """Prints and returns `at_work` of the time since the start, in which actors have first to load their models."""
        busy = at_work(summary, time.monotonic() - self.started)
        shown = ", ".join(f"{name} {number:.2f}" for name, number in busy.items())
        print(f"[{self.name}] at work at a time, in the mean: {shown}", flush=True)
        return busy


def at_work(summary: Any, seconds: float) -> dict[str, float]:
    """How many actors or tasks of each class worked at a time, in the mean over so many seconds.

    The pool that comes nearest to its number of actors is the one that the others wait for, and the one to enlarge.
    summary: `ray.data.Dataset.get_stats_summary` of an execution that is over.
    """
    found: dict[str, float] = {}
    for parent in summary.parents:
        found |= at_work(parent, seconds)
    for operator in summary.operators_stats:
        classes = re.findall(r"MapBatches\((\w+)\)", operator.operator_name)
        if classes and operator.wall_time:
            found["+".join(classes)] = round(operator.wall_time.sum / max(1e-9, seconds), 3)
    return found

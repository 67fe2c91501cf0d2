"""How far a stage is: a line now and then, the same for `jobs/status.py`, and metrics; who was busy at its end.

The lines read well on a terminal and in a job's log.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from urm_ray.pipeline import metrics
from urm_ray.pipeline.counts import Counts
from urm_ray.report.progress_line import progress_line
from urm_ray.run_folder import Stage

Mark = tuple[float, int, Counts]
"""When, and how far a stage was then."""


class Progress:
    """Counts what is done of a stage, and prints a line every few seconds, later every minute.

    name: of the stage, and behind a colon of what it is at. total: its rows, `done` of which were done before. unit:
    what counts as a row. stage: whose folder tells how far it is, too. every: seconds between the first lines.
    """

    SELDOM_S = 60.0
    """Between lines at most, as long as something is done; rates are of as long."""

    def __init__(
        self, name: str, total: int, done: int = 0, unit: str = "rows", stage: Stage | None = None, every: float = 5.0
    ) -> None:
        self.name, self.total, self.before, self.unit, self.every = name, total, done, unit, every
        self.stage, self.tags = stage, metrics.tags_of(name)
        self.rows, self.counts = 0, Counts()
        self.started = self.printed = time.monotonic()
        self._start: Mark = (self.started, 0, Counts())
        self._marks = deque([self._start])
        metrics.count(self.tags, Counts({("rows_to_do", ""): total - done}))
        self._note(self._facts(self._start))

    def add(self, rows: int, counts: Mapping[tuple[str, str], float] | None = None) -> None:
        new = Counts(counts or {})
        metrics.count(self.tags, Counts({("rows", ""): rows}) + new)
        self.rows += rows
        self.counts.update(new)
        now = time.monotonic()
        if now - self.printed >= min(self.SELDOM_S, max(self.every, (now - self.started) / 20)):
            self.printed = now
            while len(self._marks) > 1 and self._marks[1][0] <= now - self.SELDOM_S:
                self._marks.popleft()
            self._show(self._marks[0])
            self._marks.append((now, self.rows, self.counts.copy()))

    def show(self) -> None:
        """Prints where the stage stands, with the rates of all the time."""
        self._show(self._start)

    def _show(self, since: Mark) -> None:
        facts = self._facts(since)
        self._note(facts)
        print(f"[{self.name}] {progress_line(facts)}", flush=True)

    def _note(self, facts: dict[str, Any]) -> None:
        if self.stage:
            self.stage.note(facts)

    def _facts(self, since: Mark) -> dict[str, Any]:
        """What `progress_line` tells. since: from when on rates are taken."""
        began, rows, counts = since
        seconds = max(1e-9, time.monotonic() - began)
        rate, new = (self.rows - rows) / seconds, self.counts - counts
        counted: dict[str, dict[str, float]] = {}
        for (name, own), number in sorted(self.counts.items()):
            counted.setdefault(name, {})[own] = number
        tokens = {kind: sum(n for (name, _), n in new.items() if name == f"tokens_{kind}") for kind in _TOKENS}
        left = self.total - self.before - self.rows
        return {
            "part": self.name.partition(": ")[2],
            "seconds": time.monotonic() - self.started,
            "rows": self.before + self.rows,
            "total": self.total,
            "unit": self.unit,
            "counts": counted,
            "rate": rate,
            "left_s": left / rate if rate else None,
            "tokens_per_s": {kind: number / seconds for kind, number in tokens.items() if number},
            "at_work": {pool: number / seconds for (name, pool), number in new.items() if name == "actor_seconds"},
        }

    def show_at_work(self, summary: Any, seconds: float) -> dict[str, float]:
        """Prints and returns `at_work` of an execution of so many seconds, in which actors have first to load their
        models."""
        busy = at_work(summary, seconds)
        shown = ", ".join(f"{name} {number:.2f}" for name, number in busy.items())
        print(f"[{self.name}] at work at a time, in the mean: {shown}", flush=True)
        return busy


_TOKENS = ("read", "decoded")


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

"""One line now and then about how far a stage is; reads well on a terminal and in a job's log."""

from __future__ import annotations

import time


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

"""Notices work that does not end."""

from __future__ import annotations

import faulthandler
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watch:
    """Calls back when work takes longer than it may, from a thread, and ends the process if even that is blocked.

    The last resort is a thread in C: code that never gives up the interpreter's lock lets no thread of Python run.
    """

    GRACE_S = 30.0

    def __init__(self) -> None:
        self._lock, self._ends = threading.Lock(), dict[int, float]()

    @contextmanager
    def over(self, seconds: float, late: Callable[[], None]) -> Iterator[None]:
        if seconds == math.inf:
            yield
            return
        timer = threading.Timer(seconds, late)
        timer.daemon = True
        timer.start()
        self._expect(id(timer), time.monotonic() + seconds + self.GRACE_S)
        try:
            yield
        finally:
            timer.cancel()
            self._expect(id(timer), None)

    def _expect(self, key: int, end: float | None) -> None:
        with self._lock:
            if end is None:
                self._ends.pop(key, None)
            else:
                self._ends[key] = end
            if self._ends:
                left = max(0.1, min(self._ends.values()) - time.monotonic())
                faulthandler.dump_traceback_later(left, exit=True, file=sys.__stderr__ or 2)
            else:
                faulthandler.cancel_dump_traceback_later()

"""What a model was asked, and what it read and wrote for that, in plain numbers that whoever runs it collects."""

from __future__ import annotations

import threading
from collections import Counter


class Spent:
    """Counts by name, from any number of threads: questions, tokens_read, tokens_decoded.

    A model that does not know one of them leaves it out. Tokens that are read once for several questions count once.
    """

    def __init__(self) -> None:
        self._lock, self._counts = threading.Lock(), Counter[str]()

    def add(self, **counts: int) -> None:
        with self._lock:
            self._counts.update(counts)

    def take(self) -> dict[str, int]:
        """What was added since this was last called: whoever takes, nothing is taken twice."""
        with self._lock:
            taken, self._counts = dict(self._counts), Counter()
        return taken

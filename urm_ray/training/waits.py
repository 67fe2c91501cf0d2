"""How long a trainer waits for its data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch


class TimedBatches:
    """Batches for a trainer, with the time that it spends waiting for them.

    batches: anything with a length that gives batches.
    """

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        self._waited = 0.0
        self._since: float | None = None

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        asked = time.perf_counter()
        self._since = self._since or asked
        for batch in self.batches:
            self._waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()

    def share(self, accelerator: Any) -> float:
        """Of the time since the last call (since the first batch was asked for, in the first), the share that went in
        waiting, in [0, 1]: that of the rank which waited longest. All ranks have to call it.

        What the first one holds is the start of everything that makes the data.
        """
        now = time.perf_counter()
        took = now - (now if self._since is None else self._since)
        own = self._waited / took if took else 0.0
        self._waited, self._since = 0.0, now
        shares = accelerator.gather(torch.tensor([own], device=accelerator.device))
        return min(1.0, float(shares.max()))

"""Rows that cannot be made into examples: noted in the stage's `quarantine/`, and counted, so that few of them cost
themselves alone and many stop a training.

What is decoded before a training is a few frames of a clip, and a training decodes many, so such rows do reach it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from urm_ray import schema, store
from urm_ray.secrets import masked, printed
from urm_ray.training.guards import TrainingError

PART = "examples"
"""The folder in a stage's `quarantine/`."""
FEW = 10
"""Examples that may be left out in any case."""
EMPTY = 10
"""Batches in a row of which nothing is left, after which something else than their rows is to blame."""


@dataclass(frozen=True)
class Fault:
    """Why there is no example of a preference."""

    preference_id: str
    reason: str
    detail: str


class LeftOut:
    """What a worker leaves out, from any number of threads.

    stage: the URI of its folder. examples: how many the worker sees. share: of them, that may be left out.
    """

    def __init__(self, stage: str, examples: int, share: float) -> None:
        self.stage, self.examples, self.share = stage, examples, share
        self.count = self.empty = 0
        self._told: set[str] = set()
        self._alone = threading.Lock()

    def __call__(self, rows: int, faults: Sequence[Fault]) -> None:
        """Notes what is left out of a batch of so many rows; TrainingError once it is too much."""
        with self._alone:
            self.count += len(faults)
            self.empty = self.empty + 1 if len(faults) == rows else 0
            for fault in faults:
                self._note(fault)
            if self.empty >= EMPTY:
                raise TrainingError(self._stopped(f"nothing is left of {self.empty} batches in a row", faults))
            if faults and self.count > max(FEW, self.share * self.examples):
                met = f"{self.count} of the {self.examples} examples of a worker are left out"
                raise TrainingError(self._stopped(f"{met}, more than put_aside_share allows ({self.share:g})", faults))

    def _note(self, fault: Fault) -> None:
        """Writes and prints a fault, unless it is known: from the other order of a pair, or from before a restart."""
        if fault.preference_id in self._told:
            return
        self._told.add(fault.preference_id)
        place = store.join(self.stage, "quarantine", PART, f"{schema.digest(fault.preference_id)}.parquet")
        if store.exists(place):
            return
        row = {"row_id": fault.preference_id, "stage": "reward", "reason": fault.reason, "detail": fault.detail}
        store.write_table(place, schema.table_of([row], schema.QUARANTINE))
        sys.stdout.write(printed(f"[reward] preference {fault.preference_id} is left out: {_said(fault)}\n"))
        sys.stdout.flush()

    @staticmethod
    def _stopped(met: str, faults: Sequence[Fault]) -> str:
        last = _said(faults[-1])
        return masked(f"reward: {met}; the last because of {last}: look into the stage's quarantine/{PART}")


def _said(fault: Fault) -> str:
    return f"{fault.reason}: {fault.detail}"

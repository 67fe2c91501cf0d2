"""What stops a preference training that has gone wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why in one sentence."""


def need_finite(loss: float, step: int, ids: Sequence[str]) -> None:
    """TrainingError naming the pairs of a micro-batch whose loss is not a number."""
    if not math.isfinite(loss):
        raise TrainingError(f"the loss of micro-batch {step} is {loss}; its pairs are {', '.join(ids)}")


def need_reference_start(loss: float, tolerance: float) -> None:
    """TrainingError unless a first loss is ln 2, which it is just when the policy still equals its reference."""
    if abs(loss - math.log(2)) > tolerance:
        raise TrainingError(f"the loss at step 0 is {loss:.5f}, not ln 2: the reference is not the policy")


class CollapseGuard:
    """Tells when both errors of a policy have grown far beyond its reference's: it forgets, and does not choose.

    ratio: growth that counts, 0.5 for half as much again. patience: how many logs in a row; 0 never stops.
    """

    def __init__(self, ratio: float, patience: int) -> None:
        self.ratio, self.patience = ratio, patience
        self.bad = 0

    def collapsed(self, winner_excess: float, loser_excess: float) -> bool:
        """Takes the excess over the reference (error / reference - 1) of one log."""
        self.bad = self.bad + 1 if min(winner_excess, loser_excess) > self.ratio else 0
        return bool(self.patience) and self.bad >= self.patience

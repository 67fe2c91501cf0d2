"""What stops a training that has gone wrong."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from urm_ray import store
from urm_ray.file_systems import NoSpaceError, StoreError, free_space, missing_space, no_space


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why in one sentence, and what to do."""


NOT_A_NUMBER = "lower lr, warm up for longer, or switch bf16 off where it is on"
"""What helps against a loss that is not a number."""


def need_finite(loss: float, step: int, ids: Sequence[str]) -> None:
    """TrainingError naming the pairs of a micro-batch whose loss is not a number."""
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss of micro-batch {step} is {loss}; its pairs are {', '.join(ids)}: look at them, {NOT_A_NUMBER}"
        )


def need_reference_start(loss: float, tolerance: float) -> None:
    """TrainingError unless a first loss is ln 2, which it is just when the policy still equals its reference."""
    if abs(loss - math.log(2)) > tolerance:
        raise TrainingError(f"the loss at step 0 is {loss:.5f}, not ln 2: the reference is not the policy")


class CollapseGuard:
    """Stops a policy that gets worse at both sides of its pairs: it forgets, and does not choose.

    ratio: share of the reference's figure that counts, 0.5 for half. patience: how many logs in a row; 0 never stops.
    both: what is measured of both sides, and where it goes, for the message.
    """

    def __init__(self, ratio: float, patience: int, both: tuple[str, str]) -> None:
        self.ratio, self.patience, self.both = ratio, patience, both
        self.bad = 0

    def check(self, chosen: float, rejected: float, step: int) -> None:
        """How much worse than the reference each side is in one log, as a share of it; may raise TrainingError."""
        self.bad = self.bad + 1 if min(chosen, rejected) > self.ratio else 0
        if self.patience and self.bad >= self.patience:
            measured, where = self.both
            raise TrainingError(
                f"dpo: at step {step} the {measured} have both been more than {self.ratio:.0%} {where} the reference's "
                f"for {self.bad} logs: the policy forgets and does not choose; lower lr, raise beta or take fewer "
                "steps (guard_ratio and guard_patience say when this stops a training)"
            )


@contextlib.contextmanager
def room(place: str, size: int | None = None, what: str = "checkpoint") -> Iterator[None]:
    """TrainingError where what the block writes does not fit into a folder, before it is begun if its size is known.

    A worker that were started again would only meet the same disk. size: in bytes. What Ray tells of its own disks, or
    of those of other nodes, stays what it is.
    """
    left = free_space(place)
    if left is not None and size is not None and left < size:
        raise _no_room(place, size, what)
    try:
        yield
    except Exception as error:
        if isinstance(error, NoSpaceError):
            raise TrainingError(str(error)) from None
        if not no_space(error) or type(error).__module__.startswith("ray."):
            raise
        raise _no_room(place, size, what) from None


def _no_room(place: str, size: int | None, what: str) -> TrainingError:
    return TrainingError(f"no free space for a {what} {missing_space(place, size, f'this {what}')}")


Loop = Callable[[dict[str, Any]], None]


def until_stopped(loop: Loop) -> Loop:
    """The loop of a worker which, once stopped by a TrainingError, is not tried again.

    Ray Train starts it anew after any error, `max_failures` times, and the same rows would only stop it again: it then
    ends at once with the same message. settings: `stage` (URI), which keeps the reason until `forget_stop`.
    """

    @functools.wraps(loop)
    def guarded(settings: dict[str, Any]) -> None:
        reason = _reason(settings["stage"])
        if store.exists(reason):
            raise TrainingError(store.read_json(reason))
        try:
            loop(settings)
        except TrainingError as error:
            with contextlib.suppress(OSError, StoreError):  # of a full disk, say: `UnlessStopped` is told all the same
                store.write_json(reason, str(error))
            raise

    return guarded


def forget_stop(stage_uri: str) -> None:
    """Lets a training that was stopped be tried again."""
    store.delete_dir(store.join(stage_uri, "stopped"))


def _reason(stage_uri: str) -> str:
    return store.join(stage_uri, "stopped", "reason.json")

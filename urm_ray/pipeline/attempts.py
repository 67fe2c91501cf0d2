"""Rows that end or block the process that works on them: tried once more by another, and then put aside.

What can go wrong with one row is typed where it happens, as an undecodable picture is. This is for what is left: a
crash in C, a process that the system ends for want of memory, a fault of the accelerator, work that never ends, an
exception that nobody expected. A row costs its process twice at most, and once more where it was worked on together
with others, for which none of them is to blame yet. Its neighbours it costs nothing.
"""

from __future__ import annotations

import faulthandler
import gc
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from urm_ray.judge.template import ProtocolError
from urm_ray.judge.unanswered import EngineError, QuestionError
from urm_ray.pipeline.gate import Gate
from urm_ray.pipeline.ledger import Ledger, Ledgers
from urm_ray.pipeline.watch import Watch
from urm_ray.secrets import masked, printed
from urm_ray.sources.registry import SourceError
from urm_ray.store import StoreError

T = TypeVar("T")

MOST = 2
"""Attempts at a row."""
MOST_OF_A_UNIT = 5
"""Attempts at a unit, whose process may also have died of something else."""
MUCH_LONGER, KNOWN, LEAST_S = 20.0, 3, 600.0
"""Work is hung that takes so many times as long as the longest row of those done before, once so many are done, and no
less than so many seconds."""
LEFT = 70
"""The exit status of a process that leaves for its own good."""
_OF_ALL = (EngineError, StoreError, SourceError, ProtocolError)
_SPENT = ("AcceleratorError", "EngineGoneError", "CUDA error", "CUDNN", "cuBLAS", "NCCL error", "device-side assert")


@dataclass(frozen=True)
class Care:
    """What an actor needs for its attempts. limit_s: seconds that a row may take."""

    ledger: Ledgers
    limit_s: float


class Attempts:
    """Works on rows one at a time, or on all of a unit together; from any number of threads.

    name: of the work, such as "sampling". care: None where nobody shares the ledger and nothing takes too long.
    leave: ends the process. A row that failed before is worked on while nothing else is, so that it alone can be to
    blame.
    """

    def __init__(self, name: str, care: Care | None = None, leave: Callable[[int], Any] = os._exit) -> None:
        self.name, self.care, self.leave = name, care, leave
        self.ledger = care.ledger if care else Ledger(name, 1 << 40, 1.0)
        self.limit_s = care.limit_s if care else math.inf
        self.gate, self.watch = Gate(), Watch()
        self.done, self.longest = 0, 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return Attempts, (self.name, self.care)

    def each(self, key: str, work: Callable[[], T], instead: Callable[[str], T], suspect: bool = False) -> T:
        """What the work on a row returns, or `instead` of the reason for which it cannot be done.

        suspect: a row of a unit that failed, which is worked on alone from the first. What is wrong with all rows, such
        as a server that is not there, is raised; StoreError where too many rows cannot be done.
        """
        mark = f"{self.name} {key}"
        if not suspect:
            with self.gate.beside():
                earlier = self.ledger.begin(mark)
                if not earlier and (done := self._tried(mark, work, 1)) is not None:
                    self.ledger.end(mark)
                    return done[0]
                if earlier:
                    self.ledger.withdraw(mark)
        with self.gate.alone():
            while len(earlier := self.ledger.earlier(mark)) < MOST:
                self.ledger.begin(mark)
                if (done := self._tried(mark, work, 1)) is not None:
                    self.ledger.end(mark)
                    return done[0]
        reason = f"{self.name} failed {len(earlier)} times, at last because {earlier[-1]}"
        print(f"{key} is put aside: {reason}", file=sys.stderr, flush=True)
        if stop := self.ledger.put_aside(mark, reason):
            raise StoreError(stop)
        return instead(reason)

    def together(
        self,
        unit: str,
        rows: int,
        joint: Callable[[dict[str, str]], T],
        look: Callable[[], Iterable[tuple[str, Callable[[], Any]]]],
    ) -> T:
        """What `joint` returns for the rows of a unit, which are worked on in common batches.

        joint: does all rows but those that it is given with a reason, whose absence changes nothing for the others.
        look: the rows by key, each with the work on it by itself. A unit that failed is looked through for the rows
        that are to blame, and then done without them. StoreError if that does not help.
        """
        mark = f"{self.name} {unit}"
        while len(died := self.ledger.earlier(mark)) < MOST_OF_A_UNIT:
            aside = self._looked_through(mark, rows, look) if died else {}
            with self.gate.alone() if died else self.gate.beside():
                self.ledger.begin(mark)
                if (done := self._tried(mark, partial(joint, aside), rows)) is not None:
                    self.ledger.end(mark)
                    return done[0]
        raise StoreError(f"{mark} failed {len(died)} times, though its rows do not: {died[-1]}")

    def _looked_through(
        self, mark: str, rows: int, look: Callable[[], Iterable[tuple[str, Callable[[], Any]]]]
    ) -> dict[str, str]:
        """The rows of a unit that cannot be done, each with its reason.

        That the unit failed counts against no row of it: one kill from outside in the midst of an innocent row would
        make two.
        """
        looking, aside = f"{mark}, row by row", dict[str, str]()
        if len(ended := self.ledger.begin(looking)) > MOST * rows + MOST_OF_A_UNIT:
            # What ends it is not the work on a row, but what finds the rows.
            raise StoreError(f"{mark} failed {len(ended)} times while its rows were looked through: {ended[-1]}")
        for key, work in look():
            self.each(key, work, partial(aside.__setitem__, key), suspect=True)
        self.ledger.end(looking)
        return aside

    def _tried(self, mark: str, work: Callable[[], T], rows: int) -> tuple[T] | None:
        """What the work returns; None if it failed and may be tried again, for a reason that the ledger has then."""
        limit, started = self._limit(rows), time.monotonic()
        try:
            with self.watch.over(limit, partial(self._hung, mark, limit)):
                done = (work(),)
            self.longest = max(self.longest, (time.monotonic() - started) / max(1, rows))
            self.done += 1
            return done
        except QuestionError as error:
            reason = masked(str(error))
        except _OF_ALL:
            self.ledger.end(mark)
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {_line(error)}"
            print(printed(f"{mark}: {reason}\n{traceback.format_exc()}"), file=sys.stderr, flush=True)
            if any(sign in reason for sign in _SPENT):
                self.ledger.why(mark, reason)
                self.leave(LEFT)
            if "memory" in reason.lower():
                _free()
        self.ledger.why(mark, reason)
        return None

    def _limit(self, rows: int) -> float:
        """Seconds that so many rows may take: what is configured, or far more than any took so far, if that is less."""
        known = MUCH_LONGER * self.longest if self.done >= KNOWN else math.inf
        return min(self.limit_s * max(1, rows), max(LEAST_S, known * max(1, rows)))

    def _hung(self, mark: str, limit: float) -> None:
        reason = f"it took longer than {limit:g} s"
        print(f"{mark}: {reason}; this process ends, and another takes its place", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        self.ledger.why(mark, reason)
        self.leave(LEFT)


def _line(error: BaseException) -> str:
    return masked(next(iter(str(error).strip().splitlines()), "no message"))[:300]


def _free() -> None:
    """Gives back the memory that the failed work held."""
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()

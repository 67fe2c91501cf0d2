"""Lets threads pass beside each other, or one alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Any number pass beside each other, or one alone."""

    def __init__(self) -> None:
        self._change, self._inside = threading.Condition(), 0
        self._alone = False

    @contextmanager
    def beside(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                self._change.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._alone)
            self._alone = True  # nobody else comes in
            self._change.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._change:
                self._alone = False
                self._change.notify_all()

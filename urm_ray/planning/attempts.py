"""What a plan could not work out, so that one part that fails costs itself alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")


class Attempts:
    """Keeps, for what was tried in vain, why it was."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def __call__(self, what: str, build: Callable[[], Made]) -> Made | None:
        """What `build` gives; None where it raises one of the errors of planning, of peft or of our trainings, which
        are all ValueErrors."""
        try:
            return build()
        except ValueError as problem:
            self.problems[what] = str(problem)
            return None

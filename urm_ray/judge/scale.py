"""The scales on which points are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scale:
    """Scores from `minimum` to `maximum`, both included, that a judge may say in steps of `step`.

    `words` are said in place of numbers, one for each value from the lowest on.
    """

    name: str = "1-5"
    minimum: int = 1
    maximum: int = 5
    step: int = 1
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.minimum % self.step or self.maximum % self.step or not self.minimum < self.maximum:
            raise ValueError(f"the ends of scale {self.name} must be different multiples of its step")
        if self.words and len(self.words) != len(self.values):
            raise ValueError(f"scale {self.name} needs a word for each of its {len(self.values)} values")

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(range(self.minimum, self.maximum + 1, self.step))

    @property
    def answers(self) -> dict[str, str | int]:
        """Each answer text with its value."""
        texts = [f"{word}." for word in self.words] or [f"Final Score: {value}" for value in self.values]
        return dict(zip(texts, self.values, strict=True))

    @property
    def asked(self) -> str:
        """As a question says it: "from 1 to 5", or "bad, normal or good"."""
        if self.words:
            return f"{', '.join(self.words[:-1])} or {self.words[-1]}".lower()
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        return f"from {self.minimum} to {self.maximum}{steps}"

    def row(self) -> dict[str, Any]:
        """As a `schema.SCALE` value."""
        return {"name": self.name, "minimum": self.minimum, "maximum": self.maximum}


SCALES = {
    scale.name: scale
    for scale in (
        Scale(),
        Scale("1-4", 1, 4),
        Scale("1-10", 1, 10),
        Scale("0-100", 0, 100, step=10),
        Scale("bad-normal-good", 1, 3, words=("Bad", "Normal", "Good")),
    )
}
"""The scales that sources use (paper III-B1: there is no single one), by the name that a row gives."""

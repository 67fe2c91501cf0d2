"""How far a stage is, in one line: of streaming stages and of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urm_ray.report.wording import count, duration, words

_ANSWERS = ("first", "second", "tie", "score")
"""Outcomes of verdicts that are some."""
_TOLD = {"candidates": False, "verdicts": True, "pairs": False, "dropped": True, "put_aside": True}
"""What is told of `counts`, in this order, and whether its parts are counted apart."""
Facts = Mapping[str, Any]


def progress_line(facts: Facts) -> str:
    """The facts that `pipeline.progress.Progress` or `pipeline.training_progress.TrainingProgress` noted."""
    return _training(facts) if "step" in facts else "; ".join(filter(None, (_done(facts), _speed(facts))))


def _done(facts: Facts) -> str:
    """Rows, and what came of them."""
    parts = [f"{count(facts['rows'])}/{count(facts['total'])} {facts['unit']}"]
    for name, apart in _TOLD.items():
        numbers = {own: round(number) for own, number in facts["counts"].get(name, {}).items()}
        if numbers:
            few = [_counted(number, own) for own, number in numbers.items() if apart and own not in _ANSWERS]
            parts.append(_counted(sum(numbers.values()), name) + (f" ({', '.join(few)})" if few else ""))
    return ", ".join(parts)


def _speed(facts: Facts) -> str:
    parts = [f"{facts['rate']:.3g}/s"] if facts["rate"] else []
    if facts["left_s"]:
        parts.append(f"{duration(facts['left_s'])} left")
    parts += [f"{count(round(n))} tokens/s {kind}" for kind, n in facts["tokens_per_s"].items()]
    if facts["at_work"]:
        parts.append("at work " + ", ".join(f"{pool} {number:.2f}" for pool, number in facts["at_work"].items()))
    return ", ".join(parts)


def _counted(number: int, name: str) -> str:
    return f"{count(number)} {words(name)}"


def _training(facts: Facts) -> str:
    parts = [f"step {count(facts['step'])}/{count(facts['steps'])}", f"loss {facts['loss']:.4g}"]
    if facts.get("waiting") is not None:
        parts.append(f"waiting {facts['waiting']:.1%}")
    if facts.get("left_s"):
        parts.append(f"{duration(facts['left_s'])} left")
    return ", ".join(parts)

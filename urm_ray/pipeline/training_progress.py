"""How far a training is, for `jobs/status.py` and as metrics; its lines it prints itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from urm_ray.pipeline import metrics
from urm_ray.run_folder import Stage


@dataclass
class TrainingProgress:
    """Told of each log by the first worker of a training, whose figures are those of all. It may be pickled.

    began: when the stage came to its training, in seconds since 1970.
    """

    stage: Stage
    began: float = field(default_factory=time.time)
    _first: tuple[float, int] | None = field(default=None, init=False)

    def __call__(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        """figures: of the log; at least the loss."""
        now = time.monotonic()
        self._first = self._first or (now, step)
        at, first = self._first
        known = {name: figures[name] for name in ("loss", "waiting") if name in figures}
        left = (now - at) / (step - first) * (steps - step) if step > first else None
        self.stage.note({"seconds": time.time() - self.began, "step": step, "steps": steps, "left_s": left, **known})
        shown = {f"training_{name}": value for name, value in known.items()}
        metrics.show(metrics.tags_of(self.stage.name), training_step=step, training_steps=steps, **shown)

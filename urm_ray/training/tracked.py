"""Shows a training where `tracking` says, as it goes on."""

from __future__ import annotations

from typing import Any

import ray.train
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from urm_ray.config_tracking import TrackingConfig
from urm_ray.tracking import Trackers


class TrackingCallback(TrainerCallback):
    """Tells trackers what `history.json` will hold.

    The callbacks of transformers do not fit: what they logged before a restart they log again, they make another run of
    it, and two of them want a configuration of the model that denoisers do not have.
    """

    def __init__(self, trackers: Trackers) -> None:
        self.trackers = trackers

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if logs and "loss" in logs:
            figures = {f"train/{name}": v for name, v in logs.items() if isinstance(v, (int, float))}
            self.trackers.log(figures, state.global_step)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trackers.end()


def tracked(settings: dict[str, Any]) -> list[TrainerCallback]:
    """The callbacks of a worker for the trackers of its training: none but on the first rank.

    settings: `tracking` (TrackingConfig), `train` (what is shown beside the curves), `seed`, `stage`. TrackingError if
    a tracker cannot be reached.
    """
    config = TrackingConfig(**settings["tracking"])
    if not config.to or ray.train.get_context().get_world_rank() > 0:
        return []
    return [TrackingCallback(Trackers(config, settings["stage"], settings["train"] | {"seed": settings["seed"]}))]

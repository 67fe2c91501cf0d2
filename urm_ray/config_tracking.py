"""The settings of what shows trainings and evaluations elsewhere. Importable without torch or Ray."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from urm_ray.config_training import Section


class TrackingConfig(Section):
    """Where curves of trainings and figures of evaluations are shown besides the run's own files and its report; no
    stage depends on it.

    Places and keys are no part of it: MLFLOW_TRACKING_URI, WANDB_MODE, WANDB_API_KEY and the other variables that the
    two document are read from the environment of the driver and of the node that the first training worker is on.
    """

    to: list[Literal["tensorboard", "mlflow", "wandb"]] = Field([], max_length=3)
    """tensorboard writes event files into the folder `tensorboard` of each stage."""
    project: Annotated[str, Field(min_length=1, max_length=128)] = "urm_ray"
    """The experiment of MLflow, the project of W&B."""

"""Curves of trainings and figures of evaluations in TensorBoard, MLflow and W&B.

A stage is one run there, named by the run's folder and its own, which tells the stage, its task and its digest.
`tracking.json` in the stage's folder says which run that is and up to which step it was told, so that a stage that was
killed goes on in the same run, and no step is there twice.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from urm_ray import store
from urm_ray.config_tracking import TrackingConfig
from urm_ray.file_systems import is_object, locate
from urm_ray.secrets import masked_all, printed

FILE = "tracking.json"
UPLOAD_S = 30.0
"""Between copies of TensorBoard's event files to an object store, where each copy is of a whole file."""
_URI = "MLFLOW_TRACKING_URI"


class TrackingError(RuntimeError):
    """A tracker that was asked for cannot be used; the message says why in one sentence."""


def need_trackers(config: TrackingConfig) -> None:
    """TrackingError if a package is missing, or where MLflow would write into whatever folder a worker is in."""
    for name in config.to:
        if importlib.util.find_spec(name) is None:
            raise TrackingError(f"tracking.to: {name} is not installed: pip install 'urm_ray[tracking]' on every node")
    if "mlflow" in config.to and not os.environ.get(_URI):
        raise TrackingError(f"tracking.to: mlflow needs {_URI} in the environment, the address of its server")


@dataclass(frozen=True)
class Told:
    """What a tracker is told of a stage. run: an id that nothing else has. known: MLflow's own id of the run, once it
    has one."""

    name: str
    project: str
    stage: str
    run: str
    settings: dict[str, Any]
    known: str | None = None

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]


class Tracker(Protocol):
    """One place where figures are shown. id: by which it finds the run again, if it chooses that itself."""

    id: str | None

    def log(self, figures: Mapping[str, float], step: int) -> None: ...

    def end(self) -> None: ...


class TensorBoard:
    """Event files in the stage's folder. On an object store they are written here and copied there, at most every
    UPLOAD_S seconds and at the end; each process has a file of its own, so none takes the place of an earlier one."""

    def __init__(self, told: Told) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.id: str | None = None
        self.place = store.join(told.stage, "tensorboard")
        self._here = tempfile.TemporaryDirectory(prefix="urm_ray-") if is_object(self.place) else None
        self._copied = -math.inf
        self.writer = SummaryWriter(self._here.name if self._here else locate(self.place)[1])

    def log(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()
        if time.monotonic() - self._copied >= UPLOAD_S:
            self._copy()

    def end(self) -> None:
        self.writer.close()
        self._copy()
        if self._here:
            self._here.cleanup()

    def _copy(self) -> None:
        if self._here:
            for name in sorted(os.listdir(self._here.name)):
                store.upload_file(os.path.join(self._here.name, name), store.join(self.place, name))
        self._copied = time.monotonic()


class Mlflow:
    def __init__(self, told: Told) -> None:
        import mlflow

        self.client = mlflow.MlflowClient()
        self.run: str = told.known or self._new(mlflow.set_experiment(told.project).experiment_id, told)
        self.id: str | None = self.run
        self.client.update_run(self.run, status="RUNNING")

    def _new(self, experiment: str, told: Told) -> str:
        run: str = self.client.create_run(experiment, tags={"run": told.group}, run_name=told.name).info.run_id
        for name, value in told.settings.items():
            self.client.log_param(run, name, value)
        return run

    def log(self, figures: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.run, [Metric(name, value, now, step) for name, value in figures.items()])

    def end(self) -> None:
        self.client.set_terminated(self.run)


class Wandb:
    def __init__(self, told: Told) -> None:
        import wandb

        self.id: str | None = None
        # Beside the stage unless WANDB_DIR says otherwise: what a worker's own folder holds goes with it.
        place = None if "://" in told.stage or "WANDB_DIR" in os.environ else told.stage
        self.run = wandb.init(
            project=told.project,
            id=told.run,
            name=told.name,
            group=told.group,
            config=told.settings,
            resume="allow",
            dir=place,
            settings=wandb.Settings(console="off"),
        )

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self.run.log(dict(figures), step=step)

    def end(self) -> None:
        self.run.finish()


TRACKERS: dict[str, Callable[[Told], Tracker]] = {
    "tensorboard": TensorBoard,
    "mlflow": Mlflow,
    "wandb": Wandb,
}


class Trackers:
    """All trackers of a stage, in the one process that tells them.

    stage: the URI of its folder. settings: what is shown beside the curves. TrackingError if one cannot be reached at
    the start; one that fails later is told no more, and the stage goes on.
    """

    def __init__(self, config: TrackingConfig, stage: str, settings: Mapping[str, Any]) -> None:
        self.name = "/".join(stage.rstrip("/").split("/")[-2:])
        self.place = store.join(stage, FILE)
        fresh: dict[str, Any] = {"run": uuid4().hex, "step": -1}
        self.state = store.read_json(self.place) if store.exists(self.place) else fresh
        self.open: dict[str, Tracker] = {}
        shown = masked_all(dict(settings))
        for kind in dict.fromkeys(config.to):
            told = Told(self.name, config.project, stage, self.state["run"], shown, self.state.get(kind))
            try:
                self.open[kind] = TRACKERS[kind](told)
            except Exception as error:
                raise TrackingError(f"tracking.to: {kind} cannot be used: {_line(error)}") from error
        self.state |= {kind: tracker.id for kind, tracker in self.open.items() if tracker.id}
        store.write_json(self.place, self.state)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Shows figures at a step, unless a later one or the same was shown before, by a process that is gone."""
        if step <= self.state["step"]:
            return
        self.state["step"] = step
        store.write_json(self.place, self.state)  # first: a step that is missing is better than one that is there twice
        for kind, tracker in list(self.open.items()):
            try:
                tracker.log({name: value for name, value in figures.items() if math.isfinite(value)}, step)
            except Exception as error:
                self._leave(kind, error)

    def end(self) -> None:
        for kind, tracker in list(self.open.items()):
            try:
                tracker.end()
            except Exception as error:
                self._leave(kind, error)

    def _leave(self, kind: str, error: Exception) -> None:
        del self.open[kind]
        sys.stderr.write(f"tracking: {kind} is told no more of {self.name}: {_line(error)}\n")


def log_figures(config: TrackingConfig, stage: str, figures: Mapping[str, Any]) -> None:
    """Shows the figures of an evaluation, once. They are in the stage's manifest, so nothing stops where this fails."""
    if not config.to or not figures:
        return
    try:
        trackers = Trackers(config, stage, {})
    except TrackingError as error:
        sys.stderr.write(f"{error}\n")
        return
    trackers.log(dict(flat(figures)), 0)
    trackers.end()


def flat(figures: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, float]]:
    """Figures in sections, by names with slashes; of one with an interval its value and both ends."""
    for key, value in figures.items():
        inner = f"{name}/{key}" if name else str(key)
        if isinstance(value, Mapping) and "ci95" in value:
            ends = dict(zip(("low", "high"), value["ci95"] or (None, None), strict=True))
            yield from flat({"": value["value"]} | ends, inner)
        elif isinstance(value, Mapping):
            yield from flat(value, inner)
        elif isinstance(value, (int, float)):
            yield inner.rstrip("/"), float(value)


def _line(error: BaseException) -> str:
    return printed(next(iter(str(error).strip().splitlines()), type(error).__name__))[:300]

"""Reads back what trackers were told: (step, value) of each figure, in the order in which it was told."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Curves = dict[str, list[tuple[int, float]]]


def tensorboard_curves(stage: str | Path) -> Curves:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(Path(stage, "tensorboard")), size_guidance={"scalars": 0})
    read.Reload()
    return {name: [(one.step, one.value) for one in read.Scalars(name)] for name in read.Tags()["scalars"]}


def mlflow_runs(uri: str, project: str) -> list[Any]:
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name(project)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def mlflow_curves(uri: str, run: Any) -> Curves:
    import mlflow

    client = mlflow.MlflowClient(uri)
    return {
        name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


def wandb_records(stage: str | Path) -> Iterator[Any]:
    """Of the files that W&B keeps offline, the eldest first."""
    from wandb.proto.wandb_internal_pb2 import Record

    for file in sorted(Path(stage, "wandb").glob("offline-run-*/run-*.wandb")):
        for data in _logged(file.read_bytes()):
            yield Record.FromString(data)


def wandb_curves(stage: str | Path) -> Curves:
    curves: Curves = defaultdict(list)
    for record in wandb_records(stage):
        told = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for name, value in told.items():
            if not name.startswith("_"):
                curves[name].append((told["_step"], value))
    return dict(curves)


def _logged(data: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format, which begins with 7 bytes of W&B's own: blocks of 32 KiB that hold
    whole records and the first, middle and last parts of others."""
    place, block, parts = 7, 32768, b""
    while place + 7 <= len(data):
        if block - place % block < 7:
            place += block - place % block
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        if not kind:
            return
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""

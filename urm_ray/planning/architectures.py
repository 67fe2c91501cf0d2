"""What a checkpoint is made of, read off its configuration files, or off a table of well-known ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from urm_ray.file_systems import is_object
from urm_ray.local_copies import local_copy
from urm_ray.models import cached, locate

VLM = "model"
"""The one part of a checkpoint that is no pipeline."""
TIMESTEPS = 1000
"""Of the schedulers of all well-known pipelines."""
_FLOWS = ("StableDiffusion3Pipeline", "FluxPipeline", "WanPipeline", "LTXPipeline")
_PREDICTIONS = {"CogVideoXPipeline": "v_prediction"} | dict.fromkeys(_FLOWS, "flow_prediction")


@dataclass(frozen=True)
class Architecture:
    """The configuration of each part of a checkpoint, by its name in model_index.json; a VLM is one part, VLM."""

    path: str
    found: str
    """Where it was read: its folder, the hub's cache, or the table."""
    parts: dict[str, dict[str, Any]]
    pipeline: str | None = None
    """The class of the pipeline, as diffusers names it; None for a VLM."""
    processor: dict[str, Any] = field(default_factory=dict)
    """Of a VLM: what preprocessor_config.json says of pictures."""
    folder: Path | None = None
    format: str | None = None
    """Why it cannot be loaded as it is, where it cannot."""

    @property
    def prediction(self) -> str:
        """What the denoiser of a pipeline predicts, as diffusers names it: by its scheduler, or as all of its kind."""
        scheduler = _read(self.folder / "scheduler" / "scheduler_config.json") if self.folder else {}
        return scheduler.get("prediction_type") or _PREDICTIONS.get(self.pipeline or "", "epsilon")

    @property
    def denoiser(self) -> str | None:
        """The part of a pipeline that is trained."""
        return next((name for name in ("transformer", "unet") if name in self.parts), None)


@cache
def architecture(path: str) -> Architecture | None:
    """What the checkpoint at a path or of a hub name is made of; None where neither its files nor the table say.

    StoreError, as when it is loaded, where a folder is named and holds no checkpoint.
    """
    named = locate(path)
    where = Path(local_copy(named, ".json") if is_object(named) else named)
    if where.exists():
        return _of_folder(path, where, "its folder")
    if snapshot := cached(path):
        return _of_folder(path, snapshot, "the hub's cache")
    return _of_table(path)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}


def _of_folder(path: str, folder: Path, found: str) -> Architecture:
    index = _read(folder / "model_index.json")
    if not index:
        whole = _read(folder / "processor_config.json").get("image_processor", {})
        processor = _read(folder / "preprocessor_config.json") | whole
        return Architecture(path, found, {VLM: _read(folder / "config.json")}, None, processor, folder)
    named = (name for name, value in index.items() if isinstance(value, list) and value[0])
    parts = {name: config for name in named if (config := _read(folder / name / "config.json"))}
    return Architecture(path, found, parts, index["_class_name"], folder=folder)


@cache
def table() -> dict[str, dict[str, Any]]:
    """The well-known checkpoints by their hub names."""
    text = (files("urm_ray.planning") / "models.yaml").read_text("utf-8")
    return yaml.safe_load(text)["checkpoints"]


def _of_table(name: str) -> Architecture | None:
    entry = table().get(name)
    if entry is None:
        return None
    known = entry
    while "like" in known:
        known = table()[known["like"]]
    parts = known.get("parts") or {VLM: known["config"]}
    changed = {part: config | entry.get("change", {}).get(part, {}) for part, config in parts.items()}
    processor = known.get("processor", {})
    return Architecture(name, "the table", changed, known.get("pipeline"), processor, None, entry.get("format"))

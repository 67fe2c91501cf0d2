"""Where a run stands, told from its folder alone: no model is looked at, nothing is touched, and nobody is waited for.

The stages are those of the configuration that the run wrote last. Of experiments, whose variants share stages, they are
those that were begun; what is left is told by `--plan`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow.fs as pafs
import yaml

from urm_ray import store
from urm_ray.lock import holder
from urm_ray.run_folder import RunFolder, Stage
from urm_ray.store import StoreError

_AT_ONCE = 16
"""Stages that are looked at at a time; on object stores every look takes a while."""


def standing(uri: str) -> dict[str, Any]:
    """Where the run in a folder stands; StoreError where the folder holds none.

    `writer`: who writes into it (`lock.holder`), null where nobody does. `stages`, in the order in which they run:
    `state` (done, under way, stopped, to do), `seconds` so far, `progress` as it was noted last, `left_s` from now on,
    `put_aside` by reason, and `found`, what the manifest of a stage that is done tells. null is what is not known.
    """
    folder, now = RunFolder(uri), time.time()
    fs, path = store.locate(uri)
    there = {f.base_name for f in fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))}
    writer = _writer(uri)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        stages = list(threads.map(lambda stage: _stage(stage, there), _stages(folder, there)))
    _tell_begun_ones(stages, writer, now)
    return {"run": uri, "time": now, "writer": writer, "stages": stages}


def _stages(folder: RunFolder, there: set[str]) -> list[Stage]:
    configs = [store.join(folder.uri, "config.yaml")] if "config.yaml" in there else []
    variants = store.list_files(store.join(folder.uri, "variants"), ".yaml") if "variants" in there else []
    if not configs:
        raise StoreError(f"{folder.uri} holds no run: it has no config.yaml, which a run writes first")
    found: dict[str, Stage] = {}
    for file in variants or configs:
        for name, digest in yaml.safe_load(store.read_bytes(file))["digests"].items():
            stage = folder.stage(name, digest)
            if not variants or _name(stage) in there:
                found[stage.uri] = stage
    return list(found.values())


def _name(stage: Stage) -> str:
    return stage.uri.rpartition("/")[2]


def _writer(uri: str) -> dict[str, Any] | None:
    held = holder(*store.locate(uri))
    return held and {name: held.get(name) for name in ("host", "pid", "since", "beat", "lives")}


def _stage(stage: Stage, there: set[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": stage.name, "folder": _name(stage), "state": "to do"}
    facts |= dict.fromkeys(("seconds", "progress", "left_s", "put_aside", "found"))
    if facts["folder"] not in there:
        return facts
    facts["put_aside"] = _put_aside(stage)
    manifest = _read(stage, "manifest.json")
    if manifest is None:
        return facts | {"state": "begun", "seconds": _read(stage, "seconds.json"), "progress": stage.noted()}
    known = {name: value for name, value in manifest.items() if name not in ("stage", "digest", "seconds")}
    return facts | {"state": "done", "seconds": manifest["seconds"], "found": known}


def _read(stage: Stage, name: str) -> Any:
    try:
        return store.read_json(stage.path(name))
    except FileNotFoundError:
        return None


def _put_aside(stage: Stage) -> dict[str, int]:
    """How many rows, or what of them failed, lie in the quarantine of a stage for each reason, most frequent first."""
    fs, path = store.locate(stage.path("quarantine"))
    parts = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    files = [file for part in parts for file in stage.units(f"quarantine/{part.base_name}")]
    reasons = Counter(reason for file in files for reason in store.read_table(file, ["reason"])["reason"].to_pylist())
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _tell_begun_ones(stages: list[dict[str, Any]], writer: Mapping[str, Any] | None, now: float) -> None:
    """One stage at a time is under way, and only while somebody writes: that which told last how far it is."""
    begun = [stage for stage in stages if stage["state"] == "begun"]
    before = {id(stage): stage["seconds"] or 0.0 for stage in begun}
    for stage in begun:
        stage["state"] = "stopped"
        if stage["seconds"] is None and stage["progress"]:  # it was killed before it could say
            stage["seconds"] = stage["progress"].get("seconds")
    since = writer["since"] if writer and writer["lives"] else None
    if since is None:
        return
    at = {id(s): s["progress"]["time"] if s["progress"] else since for s in begun}
    current = max((s for s in begun if at[id(s)] >= since), key=lambda s: at[id(s)], default=None)
    if current is not None:
        current["state"] = "under way"
        if noted := current["progress"]:
            ago = now - noted["time"]
            current["seconds"] = before[id(current)] + noted.get("seconds", 0.0) + ago
            current["left_s"] = max(0.0, noted["left_s"] - ago) if noted.get("left_s") is not None else None

"""The files of `cluster/`, and how tests change one thing in them."""

import copy
import warnings
from typing import Any

import yaml
from helpers import ROOT

CLUSTER = ROOT / "cluster"
LAUNCHERS = ("aws", "gcp")
GROUPS = {"cpu", "sampler", "judge", "trainer"}
GPUS = GROUPS - {"cpu"}


def read(name: str) -> dict[str, Any]:
    """A file of one document, by its path in `cluster/`."""
    found: dict[str, Any] = yaml.safe_load((CLUSTER / name).read_text("utf-8"))
    return found


def at(value: Any, path: str) -> Any:
    """What lies at a path, such as `spec.workerGroupSpecs.0.groupName`."""
    for key in path.split("."):
        value = value[int(key) if isinstance(value, list) else key]
    return value


def renamed(value: Any, path: str, name: str) -> Any:
    """With another name for what lies at a path."""
    changed = copy.deepcopy(value)
    parent, key = _parent(changed, path)
    parent[name] = parent.pop(key)
    return changed


def replaced(value: Any, path: str, new: Any) -> Any:
    """With something else at a path."""
    changed = copy.deepcopy(value)
    parent, key = _parent(changed, path)
    parent[key] = new
    return changed


def without(value: Any, path: str) -> Any:
    changed = copy.deepcopy(value)
    parent, key = _parent(changed, path)
    del parent[key]
    return changed


def _parent(value: Any, path: str) -> tuple[Any, Any]:
    above, _, key = path.rpartition(".")
    parent = at(value, above) if above else value
    return parent, int(key) if isinstance(parent, list) else key


def started_with(words: list[str]) -> dict[str, Any]:
    """The options of `ray start` as its own command line reads them; an error where it takes a word not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray Serve, which it loads
        from ray.scripts.scripts import start

    found: dict[str, Any] = start.make_context("start", words).params
    return found

"""Reads a run's YAML file. An unknown key is refused with the nearest valid name. Importable without torch or Ray."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from urm_ray.config import Config

S = TypeVar("S", bound=BaseModel)
EXTENDS = "extends"
"""The key of a YAML file that names the file whose settings it changes; it is no setting itself."""


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is for the person who wrote it."""


def _valid_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    steps = iter(location)
    for step in steps:
        field = model.model_fields.get(str(step))
        options = [a for a in (field.annotation, *get_args(field.annotation)) if isinstance(a, type)] if field else []
        inner = next((a for a in options if issubclass(a, BaseModel)), None)
        if inner is None:
            return []
        model = inner
        if field is not None and get_origin(field.annotation) in (dict, list):
            next(steps, None)  # a section for each key or number: `policies.image_generation`
    return list(model.model_fields)


def _sentence(error: Any, model: type[BaseModel]) -> str:
    location = error["loc"]
    name = ".".join(str(part) for part in location)
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _valid_keys(model, location[:-1]), 1, 0.5)
        hint = f"; did you mean {'.'.join([*map(str, location[:-1]), near[0]])}?" if near else ""
        return f"unknown key {name}{hint}"
    given = "" if location[-1:] == ("base_url",) else f", got {str(error['input'])[:80]!r}"  # addresses may hold keys
    return f"{name or 'config'}: {error['msg'].removeprefix('Value error, ')}{given}"


def build(values: dict[str, Any]) -> Config:
    """The configuration from plain values; ConfigError with one line a mistake."""
    return build_as(Config, values)


def build_as(model: type[S], values: dict[str, Any]) -> S:
    """As `build`, of another file's settings."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_sentence(e, model) for e in error.errors())) from None


def override(values: dict[str, Any], assignment: str) -> None:
    """Applies `key.path=value` in place; the value is read as YAML."""
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set takes key.path=value, not {assignment!r}")
    *parents, last = path.strip().split(".")
    for key in parents:
        child = values.get(key)
        if child is None:
            child = values[key] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set {assignment}: {key} is a value, not a section")
        child = values[key] = dict(child)  # by an anchor of YAML it may be another section as well
        values = child
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {assignment}: the value is not YAML") from None


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them, section by section; a list counts as one value."""
    both = {k: _merged(under[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(under.get(k), dict)}
    return under | over | both


def read(path: str | Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The settings of a YAML file, laid over those of the file that its `extends` names, beside it."""
    try:
        values = yaml.safe_load(Path(path).read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold sections, not {type(values).__name__}")
    if EXTENDS not in values:
        return values
    below = Path(path).parent / str(values.pop(EXTENDS))
    if below.resolve() in above:
        raise ConfigError(f"{path} extends a file that extends it")
    return _merged(read(below, (*above, Path(path).resolve())), values)


def load(path: str | Path, assignments: list[str] | None = None) -> Config:
    """Reads a YAML file, applies `key.path=value` overrides and checks the whole; ConfigError on any mistake."""
    return load_as(Config, path, assignments)


def load_as(model: type[S], path: str | Path, assignments: list[str] | None = None) -> S:
    """As `load`, of another file's settings."""
    values = read(path)
    for assignment in assignments or []:
        override(values, assignment)
    return build_as(model, values)

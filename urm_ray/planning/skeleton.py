"""Models without memory: the real modules of transformers and diffusers on torch's meta device."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch

from urm_ray.planning.architectures import VLM, Architecture, architecture


class PartError(ValueError):
    """A part of a checkpoint that cannot be built from its configuration; the message says which and why."""


def skeleton(architecture: Architecture, part: str = VLM, dtype: str = "float32") -> Any:
    """A part of a checkpoint in training mode, on the meta device: shapes and types are real, and nothing else is.

    PartError where the installed transformers or diffusers have no such model.
    """
    config = architecture.parts[part]
    try:
        with torch.device("meta"), quiet():
            return built(config).to(getattr(torch, dtype)).train()
    except (AttributeError, KeyError, TypeError, ValueError, ImportError) as error:
        raise PartError(f"{architecture.path}: its {part} cannot be built from its configuration: {error}") from error


def built(config: Mapping[str, Any]) -> Any:
    """The model of a configuration with new weights, on torch's default device."""
    with quiet():
        return _of_diffusers(config) if "_class_name" in config else _of_transformers(config)


@cache
def whole_config(path: str, part: str) -> Mapping[str, Any]:
    """The configuration of a part of a pipeline with the defaults of its class."""
    found = architecture(path)
    assert found is not None
    return dict(skeleton(found, part).config)


def parameter_count(module: Any) -> int:
    """Parameters, tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def parameter_bytes(module: Any) -> int:
    """Bytes of parameters and buffers in the types that they have."""
    held = (*module.parameters(), *module.buffers())
    return sum(storage.nbytes() for storage in {t.untyped_storage()._cdata: t.untyped_storage() for t in held}.values())


def _of_diffusers(config: Mapping[str, Any]) -> Any:
    import diffusers

    return getattr(diffusers, config["_class_name"]).from_config(dict(config))


def _of_transformers(config: Mapping[str, Any]) -> Any:
    import transformers

    settings = {name: value for name, value in config.items() if name != "model_type"}
    whole = transformers.AutoConfig.for_model(config["model_type"], **settings)
    if type(whole) in transformers.AutoModelForImageTextToText._model_mapping:
        return transformers.AutoModelForImageTextToText.from_config(whole)
    name = (config.get("architectures") or [""])[0]
    return getattr(transformers, name)(whole)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without advice about types and unused settings, which is for people who load models to use them."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    levels = [(log, log.get_verbosity()) for log in (diffusers_logging, transformers_logging)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for log, _ in levels:
                log.set_verbosity_error()
            yield
    finally:
        for log, level in levels:
            log.set_verbosity(level)

"""What the call of a pipeline takes."""

from __future__ import annotations

import inspect
from typing import Any

from urm_ray.config_policy import SamplerConfig
from urm_ray.store import StoreError


def need_taken(pipeline: Any, name: str) -> None:
    """StoreError where `sampler.NAME` is set and the pipeline's call has no such parameter."""
    if name not in inspect.signature(pipeline.__call__).parameters:
        raise StoreError(f"sampler.{name}: {type(pipeline).__name__} takes none; leave it out")


def max_sequence_length(pipeline: Any, sampler: SamplerConfig) -> int:
    """Tokens of a prompt that the pipeline reads when it samples; `encode_prompt` may have another default."""
    default: int = inspect.signature(pipeline.__call__).parameters["max_sequence_length"].default
    return sampler.max_sequence_length or default

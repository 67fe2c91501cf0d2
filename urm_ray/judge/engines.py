"""The engine that a configuration names."""

from __future__ import annotations

from urm_ray.config import JudgeConfig
from urm_ray.judge.engine import Engine


def load_engine(path: str, config: JudgeConfig) -> Engine:
    """Runs the judge in a folder, or asks the server that has it; the folder then only tells how its answers are
    spelled. ModelError or EngineError where it cannot be worked with."""
    if config.engine == "http":
        from urm_ray.judge.http_engine import HttpEngine

        return HttpEngine(path, config.http, config.clips)
    if config.engine == "vllm":
        from urm_ray.judge.vllm_engine import VllmEngine

        return VllmEngine(path, config.vllm, config.dtype, config.clips)
    from urm_ray.judge.transformers_engine import TransformersEngine

    return TransformersEngine(
        path, config.dtype, "auto", config.batch, config.attention, config.clips, config.batch_tokens
    )

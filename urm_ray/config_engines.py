"""The settings of the engines that run a judge elsewhere than in transformers. Importable without torch or Ray."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from urm_ray.config_training import Section

_OWN = {
    "model": "judge.path",
    "dtype": "judge.dtype",
    "load_format": "nothing: safetensors alone are read",
    "logprobs_mode": "nothing: raw log-probabilities are what is read",
    "tensor_parallel_size": "judge.vllm.tensor_parallel_size",
    "gpu_memory_utilization": "judge.vllm.gpu_memory_utilization",
    "max_model_len": "judge.vllm.max_model_len",
    "max_num_seqs": "judge.vllm.max_num_seqs",
    "mm_processor_cache_gb": "judge.vllm.cache_gb",
}


class HttpConfig(Section):
    """An OpenAI-compatible server, such as vLLM's or SGLang's, that serves the judge of `judge.path`."""

    base_url: str = ""
    """Where it listens, such as http://judges:8000/v1."""
    model: str = ""
    """The name that it serves the judge under."""
    api_key_env: str | None = None
    """The environment variable that holds its key, on every node that asks; None sends no key. The key itself is never
    part of a configuration."""
    concurrency: int = Field(64, ge=1)
    """Requests of one actor that are under way at the same time."""
    timeout_s: float = Field(300.0, gt=0)
    """Of one request, from the first byte sent to the last one read."""
    retries: int = Field(6, ge=0)
    """How often a request is sent again that failed in a way that may pass."""
    retry_statuses: list[int] = Field([408, 429, 500, 502, 503, 504])
    """What may pass. Broken connections, time-outs and answers that are no JSON are asked again, too."""
    backoff_s: float = Field(1.0, ge=0)
    """The longest pause before the first retry; each one after it may be twice as long. Pauses are between half and all
    of that, drawn by what is asked. `Retry-After` makes them longer."""
    max_backoff_s: float = Field(60.0, gt=0)
    """No pause is longer. A server that wants a longer one has no time for this run, which ends with a sentence."""

    @field_validator("base_url")
    @classmethod
    def _plain_place(cls, value: str) -> str:
        if not value:
            return value
        place = urlsplit(value)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise ValueError("base_url begins with http:// or https:// and names a host")
        if place.username or place.password or place.query or place.fragment:
            raise ValueError("base_url holds no key: name the environment variable that does in api_key_env")
        return value.rstrip("/")


class VllmConfig(Section):
    """vLLM in the judge's actors. One actor has `num_gpus` of its pool for itself, all on one node: as many as
    `tensor_parallel_size`."""

    python: str | None = None
    """The Python interpreter that has vLLM, Ray and this package, at the same place on every node of the judge's pool;
    vLLM pins other releases of torch and transformers than trainings run with. None takes the job's own."""
    tensor_parallel_size: int = Field(1, ge=1)
    """GPUs that share one copy of the model. Above 1 only where it does not fit on one; more actors are faster."""
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    """Share of each GPU's memory that vLLM takes."""
    max_model_len: int | None = Field(None, ge=1)
    """Tokens of the longest question with its answer; None takes the model's own number. A longer one is unparsed."""
    max_num_seqs: int | None = Field(None, ge=1)
    """Questions that are computed at the same time; None lets vLLM choose."""
    cache_gb: float = Field(4.0, ge=0)
    """Host memory for processed pictures and clips, in GB, so that one that is asked about again is processed once."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Other engine arguments by vLLM's names, such as {quantization: fp8, max_num_batched_tokens: 16384}."""

    @field_validator("engine")
    @classmethod
    def _nothing_twice(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in values:
            if name in _OWN:
                raise ValueError(f"engine: {name} is not set here but by {_OWN[name]}")
            if name.endswith("remote_code"):
                raise ValueError(f"engine: {name}: no code of a checkpoint is run")
        return values

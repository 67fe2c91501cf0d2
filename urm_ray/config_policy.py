"""The settings of a policy, from its candidates to its evaluation, and how models are loaded and shown clips."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from urm_ray.clips import Sampling
from urm_ray.config_training import DpoConfig, PoolConfig, Section, Task, VlmDpoConfig
from urm_ray.schema import digest


class ModelConfig(Section):
    path: str = ""
    """A folder as `save_pretrained` leaves it, or a hub name; `package:FOLDER` lies inside an installed package."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    """auto takes the GPU if the worker has one."""


class ClipConfig(Sampling):
    """How a VLM is shown clips. Frames are chosen by `count`, `rate` or `maximum`; where none is set, 8 of them."""

    shown: Literal["frames", "native"] = "frames"
    """Each frame as a picture of its own (paper IV-A), or all of them in the processor's slot for clips."""

    @model_validator(mode="before")
    @classmethod
    def _eight_frames(cls, values: Any) -> Any:
        chosen = isinstance(values, dict) and values.keys() & Sampling.model_fields.keys()
        return values if chosen or not isinstance(values, dict) else {**values, "count": 8}


DEFAULT_CLIPS = ClipConfig()


class AnswerConfig(Section):
    """How a VLM policy writes answers. Nothing else of the checkpoint's generation settings applies."""

    temperature: float = Field(0.7, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    """Draws from the likeliest tokens that together have at least this probability."""
    top_k: int = Field(0, ge=0)
    """Draws from this many of the likeliest tokens; 0 from all."""
    max_new_tokens: int = Field(512, ge=1)
    """An answer that has not ended by then is an error, not a candidate."""
    attention: str | None = None
    """eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose."""


class SamplerConfig(Section):
    """How the policy makes candidates."""

    candidates: int = Field(10, ge=2)
    steps: int = Field(20, ge=1)
    guidance: float = 1.0
    height: int | None = None
    width: int | None = None
    """None takes the size that the pipeline was trained for."""
    frames: int = Field(16, ge=1)
    """Of a clip. Autoencoders that compress time allow 4k + 1 (Wan), 8k + 1 (LTX), 8k or 8k + 1 (CogVideoX); other
    numbers are refused."""
    fps: float = Field(8.0, gt=0)
    """Frames a second at which a clip is written."""
    batch: int = Field(16, ge=1)
    """Pictures or clips made, or answers written, in one forward pass; all answers to a prompt are written together."""
    negative_prompt: str | None = None
    max_sequence_length: int | None = Field(None, ge=1)
    """Tokens of a prompt that T5 reads, in pipelines that have one; None takes the pipeline's own number."""
    answers: AnswerConfig = AnswerConfig()


class GenerateConfig(Section):
    """The streaming stage: sampler pool, judge pool."""

    unit_rows: int = Field(8, ge=1)
    sampler_pool: PoolConfig = PoolConfig()
    judge_pool: PoolConfig = PoolConfig()


class EvaluateConfig(Section):
    scorer: str = ""
    """`module:Class` of a scorer that is independent of the judge (`urm_ray.evaluation.scorer`)."""
    scorer_model: str = ""
    """The model of a scorer that has one, such as `urm_ray.evaluation.clip_score:ClipScore`: a folder or hub name."""
    scorer_pool: PoolConfig = PoolConfig()
    """The pool that holds the scorer's model; a scorer without one runs as tasks."""
    headline: str = "whole"
    """Which of the scorer's figures counts as the result."""
    unit_rows: int = Field(16, ge=1)
    seeds_per_prompt: int = Field(1, ge=1)
    resamples: int = Field(2000, ge=100)
    """Draws of the bootstrap behind the 95% intervals."""
    sampler_pool: PoolConfig = PoolConfig()
    judge_pool: PoolConfig = PoolConfig()


class PolicyConfig(ModelConfig):
    """The policy of one task, from its candidates to its evaluation."""

    candidates_path: str | None = None
    """Candidates that are there already, and are judged in place of those that the policy would make: a prompt file
    whose lines name them (`urm_ray.sources.candidates`)."""
    sampler: SamplerConfig = SamplerConfig()
    generate: GenerateConfig = GenerateConfig()
    dpo: DpoConfig = DpoConfig()
    """For the generation tasks."""
    vlm_dpo: VlmDpoConfig = VlmDpoConfig()
    """For the understanding tasks."""
    clips: ClipConfig = DEFAULT_CLIPS
    """How a policy that answers questions is shown clips, when it answers and when it is trained."""
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _pairs_need_even_candidates(self) -> PolicyConfig:
        if self.sampler.candidates % 2:
            raise ValueError("sampler.candidates must be even: adjacent pairs are ranked")
        return self

    def digest_of(self, *names: str) -> str:
        """Digest of the named sections and of how the policy is loaded; see `Config.digest_of`."""
        return digest(
            {"dtype": self.dtype, "path": self.path} | {name: essential(getattr(self, name)) for name in names}
        )


_PLACEMENT = {
    "sampler_pool",
    "judge_pool",
    "scorer_pool",
    "encode_pool",
    "actors",
    "cpus",
    "num_cpus",
    "accelerator_type",
    "dir",
    "min_free_mib",
    "put_aside_share",
    "max_failures",
    "device",
    "overlap",
    "base_url",
    "api_key_env",
    "concurrency",
    "timeout_s",
    "retries",
    "retry_statuses",
    "backoff_s",
    "max_backoff_s",
    "python",
    "tensor_parallel_size",
    "gpu_memory_utilization",
    "cache_gb",
}


def understands(task: Task) -> bool:
    """Whether the policy of a task answers questions, and does not make pictures or clips."""
    return task.endswith("understanding")


def essential(section: Section) -> dict[str, Any]:
    """A section without what cannot change a result: pools, CPUs and places, and what is of engines not in use."""
    kept = section.model_dump(mode="json", exclude=_PLACEMENT | getattr(section, "unused", set()))
    parts = {name: getattr(section, name) for name in kept}
    return kept | {name: essential(part) for name, part in parts.items() if isinstance(part, Section)}

"""Every setting of a run, with its meaning beside it. One YAML file is one run; `config_file.py` reads it.

Importable without torch or Ray.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from urm_ray.schema import digest

Task = Literal["image_generation"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class RunConfig(Section):
    dir: str = "runs/run"
    """Folder of the run: a path, absolute or relative to where the job starts, on storage that all nodes share."""
    seed: int = 0
    """The one source of randomness; everything else is derived from it and from ids."""
    min_free_mib: int = Field(200, ge=0)
    """A stage does not start with less free space than this in a local run folder."""


class PoolConfig(Section):
    """A pool of Ray actors that each hold one model."""

    actors: int = Field(1, ge=1)
    max_actors: int | None = None
    """Set it above `actors` to let the pool grow when work waits."""
    num_cpus: float = 1
    num_gpus: float = 0
    accelerator_type: str | None = None
    """The value of the node label `ray.io/accelerator-type`, such as H100; None takes any node."""


class ModelConfig(Section):
    path: str = ""
    """A folder as `save_pretrained` leaves it, or a hub name; `package:FOLDER` lies inside an installed package."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    """auto takes the GPU if the worker has one."""


class PrepareConfig(Section):
    """Where human preferences and prompts come from, and how many are taken."""

    preferences: str = "parquet"
    """A source by name (`urm_ray.sources.registry`) or `module:Class`."""
    preferences_path: str | None = None
    prompts: str = "jsonl"
    prompts_path: str | None = None
    train_pairs: int = Field(4000, ge=0)
    train_points: int = Field(4000, ge=0)
    heldout_pairs: int = Field(1000, ge=1)
    heldout_points: int = Field(1000, ge=1)
    train_prompts: int = Field(300, ge=1)
    heldout_prompts: int = Field(500, ge=1)
    unit_rows: int = Field(250, ge=1)
    """Rows of one unit of work, which is written whole or not at all."""
    cpus: float = 1


class LoraConfig(Section):
    rank: int = Field(16, ge=1)
    alpha: float = 32
    dropout: float = 0.0
    targets: str | list[str] = "all-linear"


class TrainConfig(Section):
    """What every training has in common: Ray Train workers, DeepSpeed ZeRO, optimizer and checkpoints."""

    workers: int = Field(1, ge=1)
    num_cpus: float = 1
    """CPUs of one worker."""
    use_gpu: bool = False
    zero_stage: Literal[0, 1, 2, 3] = 2
    bf16: bool = False
    steps: int = Field(100, ge=1)
    batch: int = Field(8, ge=1)
    """Rows of one micro-batch of one worker."""
    accumulate: int = Field(1, ge=1)
    lr: float = Field(1e-5, gt=0)
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_steps: int = Field(0, ge=0)
    weight_decay: float = 0.0
    adam_beta2: float = 0.999
    max_grad_norm: float = 1.0
    max_failures: int = 2
    """How often a worker group that died is started again from its last checkpoint before the run gives up."""
    checkpoint_steps: int = Field(100, ge=1)
    """A multiple of `log_steps`, so that a resumed run logs the same figures as one that was never stopped."""
    log_steps: int = Field(10, ge=1)
    gradient_checkpointing: bool = False
    lora: LoraConfig | None = None
    """Trains adapters in place of all weights; they are merged when the model is saved."""

    @model_validator(mode="after")
    def _log_where_saved(self) -> TrainConfig:
        if self.checkpoint_steps % self.log_steps:
            raise ValueError("checkpoint_steps must be a multiple of log_steps")
        return self


class RewardConfig(TrainConfig):
    """SFT of the base VLM into the judge (paper III-B)."""

    train_vision: bool = True
    attention: str | None = None
    """eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose."""
    shuffle_rows: int = Field(2048, ge=1)
    """Size of the window in which rows are shuffled anew each epoch."""


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
    batch: int = Field(16, ge=1)
    """Pictures made, or answers written, in one forward pass; all answers to one prompt are written together."""
    negative_prompt: str | None = None
    answers: AnswerConfig = AnswerConfig()


class JudgeConfig(Section):
    protocol: str = "unified"
    readout: Literal["logits"] = "logits"
    batch: int = Field(64, ge=1)
    """Questions answered in one forward pass; pair and point questions are mixed."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    attention: str | None = None
    """eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose."""
    min_mass: float = Field(0.1, ge=0, le=1)
    """An answer counts as unparsed when the possible answers together have less than this probability."""
    actors: PoolConfig = PoolConfig()
    """The pool that measures judges on held-out preferences."""


class PairsConfig(Section):
    """How verdicts become preference pairs (paper III-C)."""

    ranking: Literal["adjacent"] = "adjacent"
    both_orders: bool = True
    ties: Literal["drop", "point"] = "drop"
    """A tie, or two orders that disagree: drop the pair, or let the point scores decide it."""
    min_margin: float = Field(0.0, ge=0)
    """Keep a prompt only if chosen score - rejected score is greater than this."""


class GenerateConfig(Section):
    """The streaming stage: sampler pool, judge pool, sifting."""

    unit_rows: int = Field(8, ge=1)
    sampler_pool: PoolConfig = PoolConfig()
    judge_pool: PoolConfig = PoolConfig()


class DpoConfig(TrainConfig):
    """Diffusion-DPO (paper III-D; arXiv 2311.12908, eq. 14)."""

    beta: float = Field(5000.0, gt=0)
    """T * omega(lambda_t) is folded in. The loss uses beta / 2 and mean, not summed, squared errors, as published."""
    reference: Literal["copy", "adapter_off"] = "copy"
    """A frozen copy of the policy, or the policy with its LoRA adapter switched off."""
    min_timestep: int = Field(0, ge=0)
    max_timestep: int | None = None
    train_text_encoder: Literal[False] = False
    guard_patience: int = Field(0, ge=0)
    """Stop when both errors exceed the reference's by `guard_ratio` for this many logs; 0 never stops."""
    guard_ratio: float = Field(0.5, gt=0)

    @model_validator(mode="after")
    def _reference_needs_adapter(self) -> DpoConfig:
        if self.reference == "adapter_off" and self.lora is None:
            raise ValueError("reference: adapter_off needs a lora section")
        return self


class EvaluateConfig(Section):
    scorer: str = ""
    """`module:Class` of a scorer that is independent of the judge (`urm_ray.evaluation.scorer`)."""
    headline: str = "whole"
    """Which of the scorer's figures counts as the result."""
    unit_rows: int = Field(16, ge=1)
    seeds_per_prompt: int = Field(1, ge=1)
    resamples: int = Field(2000, ge=100)
    """Draws of the bootstrap behind every 95% interval."""
    sampler_pool: PoolConfig = PoolConfig()
    judge_pool: PoolConfig = PoolConfig()


class ReportConfig(Section):
    title: str = "Preference alignment run"
    grid: int = Field(12, ge=0)
    """Prompts shown with pictures before and after."""
    pairs: int = Field(6, ge=0)
    """Best and worst pairs shown with their verdicts."""


class Config(Section):
    """A whole run."""

    run: RunConfig = RunConfig()
    tasks: Annotated[list[Task], Field(min_length=1)] = ["image_generation"]
    judge_base: ModelConfig = ModelConfig()
    policy: ModelConfig = ModelConfig()
    prepare: PrepareConfig = PrepareConfig()
    reward: RewardConfig = RewardConfig()
    judge: JudgeConfig = JudgeConfig()
    sampler: SamplerConfig = SamplerConfig()
    pairs: PairsConfig = PairsConfig()
    generate: GenerateConfig = GenerateConfig()
    dpo: DpoConfig = DpoConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _pairs_need_even_candidates(self) -> Config:
        if self.sampler.candidates % 2:
            raise ValueError("sampler.candidates must be even: adjacent pairs are ranked")
        return self

    def digest_of(self, *names: str) -> str:
        """Digest of the named sections, without what cannot change a result: pools, CPUs and the place of the run."""
        return digest({name: _essential(getattr(self, name).model_dump(mode="json")) for name in names})


_PLACEMENT = {
    "sampler_pool",
    "judge_pool",
    "actors",
    "cpus",
    "num_cpus",
    "dir",
    "min_free_mib",
    "max_failures",
    "device",
}


def _essential(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _PLACEMENT}

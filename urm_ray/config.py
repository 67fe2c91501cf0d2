"""Every setting of a run, with its meaning beside it. One YAML file is one run; `config_file.py` reads it.

Importable without torch or Ray.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from urm_ray.schema import digest

Task = Literal["image_generation", "image_understanding", "video_generation", "video_understanding"]


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
    """Where human preferences and prompts come from, and how many are taken of each task."""

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
    shuffle_rows: int = Field(2048, ge=1)
    """Size of the window in which rows are shuffled anew each epoch; it is held in memory."""
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
    task_weights: dict[Task, Annotated[float, Field(gt=0)]] = {}
    """Share of each task in the mixture relative to the others'; 1 where a task is not named."""
    attention: str | None = None
    """eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose."""


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
    """Of a clip."""
    fps: float = Field(8.0, gt=0)
    """Frames a second at which a clip is written."""
    batch: int = Field(16, ge=1)
    """Pictures or clips made, or answers written, in one forward pass; all answers to a prompt are written together."""
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
    resamples: int = Field(2000, ge=100)
    """Draws of the bootstrap behind the 95% intervals."""


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
    reference: Literal["copy", "adapter_off", "stored"] = "copy"
    """A frozen copy of the policy, the policy with its LoRA adapter switched off, or no model at all: errors of the
    reference that were stored with each pair for a fixed set of timesteps and noises."""
    stored_draws: int = Field(8, ge=1)
    """Timesteps and noises that `reference: stored` keeps for a pair; training takes one of them at each visit."""
    encode_pool: PoolConfig = PoolConfig()
    """Encodes each pair once, before the training: media to latents, prompts to embeddings."""
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


LossType = Literal[
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard",
    "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
]  # fmt: skip


class VlmDpoConfig(TrainConfig):
    """DPO of a vision-language model (paper III-D; arXiv 2305.18290) with the losses of TRL."""

    beta: float = Field(0.1, gt=0)
    loss_type: Annotated[list[LossType], Field(min_length=1)] = ["sigmoid"]
    """One loss or several to be added; `sigmoid` is the DPO of the paper."""
    loss_weights: list[float] | None = None
    """One weight for each loss; None weighs all by 1."""
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    """Share of labels taken to be wrong; `robust`, `aot` and `aot_unpaired` use it, `exo_pair` needs it above 0."""
    max_length: int | None = Field(None, ge=1)
    """Tokens of the question, its pictures' own included, and the longer answer. A longer pair is left out, not cut."""
    clips: Literal["frames", "native"] = "frames"
    """How a clip is shown: each frame as a picture of its own, or in the processor's slot for clips."""
    train_vision: bool = True
    attention: str | None = None
    """eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose."""
    reference_batch: int = Field(8, ge=1)
    """Pairs of one forward pass of the reference."""
    guard_patience: int = Field(0, ge=0)
    """Stop with an error when chosen and rejected answers both lie `guard_ratio` below the reference for this many
    logs; 0 never stops."""
    guard_ratio: float = Field(0.5, gt=0)
    """Fall of the mean log-probability as a share of the reference's: 0.5 is from -20 to -30."""

    @model_validator(mode="after")
    def _losses_fit_together(self) -> VlmDpoConfig:
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise ValueError("loss_weights must name one weight for each loss_type")
        if "exo_pair" in self.loss_type and not self.label_smoothing:
            raise ValueError("loss_type: exo_pair needs label_smoothing above 0; its paper takes 0.001")
        return self


class EvaluateConfig(Section):
    scorer: str = ""
    """`module:Class` of a scorer that is independent of the judge (`urm_ray.evaluation.scorer`)."""
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

    sampler: SamplerConfig = SamplerConfig()
    generate: GenerateConfig = GenerateConfig()
    dpo: DpoConfig = DpoConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _pairs_need_even_candidates(self) -> PolicyConfig:
        if self.sampler.candidates % 2:
            raise ValueError("sampler.candidates must be even: adjacent pairs are ranked")
        return self

    def digest_of(self, *names: str) -> str:
        """Digest of the named sections and of how the policy is loaded; see `Config.digest_of`."""
        return digest(
            {"dtype": self.dtype, "path": self.path} | {name: _essential(getattr(self, name)) for name in names}
        )


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
    """The tasks of this run. One judge is trained on all of them, and the policy of each is aligned."""
    judge_base: ModelConfig = ModelConfig()
    prepare: PrepareConfig = PrepareConfig()
    reward: RewardConfig = RewardConfig()
    judge: JudgeConfig = JudgeConfig()
    pairs: PairsConfig = PairsConfig()
    policies: dict[Task, PolicyConfig] = {}
    """A policy for each task; those of tasks that the run leaves out are not used."""
    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _every_task_once(self) -> Config:
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks: each task can be named once")
        return self

    def policy(self, task: Task) -> PolicyConfig:
        return self.policies.get(task, PolicyConfig())

    def digest_of(self, *names: str) -> str:
        """Digest of the named sections, without what cannot change a result: pools, CPUs and the place of the run."""
        return digest({name: _essential(getattr(self, name)) for name in names})


_PLACEMENT = {
    "sampler_pool",
    "judge_pool",
    "encode_pool",
    "actors",
    "cpus",
    "num_cpus",
    "dir",
    "min_free_mib",
    "max_failures",
    "device",
}


def _essential(section: Section) -> dict[str, Any]:
    return {key: value for key, value in section.model_dump(mode="json").items() if key not in _PLACEMENT}

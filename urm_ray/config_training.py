"""The settings of trainings, and what all sections of a configuration share; `config.py` puts them together."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Task = Literal["image_generation", "image_understanding", "video_generation", "video_understanding"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


_WORD = r"[a-zA-Z0-9]([\w.-]{0,61}[a-zA-Z0-9])?"
_LABEL = re.compile(rf"([\w.-]{{1,253}}/)?{_WORD}", re.ASCII)
_WANTED = re.compile(rf"!?({_WORD}|in\({_WORD}(, ?{_WORD})*\))", re.ASCII)
_ACCELERATOR = "ray.io/accelerator-type"


class Placement(Section):
    """Which nodes something runs on."""

    accelerator_type: str | None = None
    """The value of the node label `ray.io/accelerator-type`, such as H100; None takes any node."""
    labels: dict[str, str] = Field(default_factory=dict)
    """What the labels of a node must be, as Ray's label selectors say it: `{urm-ray/group: judge}`, or in place of the
    value `!judge`, `in(judge, spare)`, `!in(judge, spare)`. A node has them by `ray start --labels` or of its group."""

    @field_validator("labels")
    @classmethod
    def _as_ray_reads_them(cls, labels: dict[str, str]) -> dict[str, str]:
        for label, wanted in labels.items():
            if not _LABEL.fullmatch(label) or not _WANTED.fullmatch(wanted):
                raise ValueError(f"labels: {label}: {wanted} is not LABEL: value, !value, in(a, b) or !in(a, b)")
        return labels

    @model_validator(mode="after")
    def _one_accelerator(self) -> Placement:
        if self.accelerator_type and _ACCELERATOR in self.labels:
            raise ValueError(f"accelerator_type and labels both say {_ACCELERATOR}: leave one out")
        return self

    @property
    def label_selector(self) -> dict[str, str]:
        """All that is asked of a node's labels."""
        return self.labels | ({_ACCELERATOR: self.accelerator_type} if self.accelerator_type else {})


class PoolConfig(Placement):
    """A pool of Ray actors that each hold one model."""

    actors: int = Field(1, ge=1)
    max_actors: int | None = None
    """Set it above `actors` to let the pool grow when work waits."""
    num_cpus: float = 1
    num_gpus: float = 0
    row_limit_s: float = Field(7200.0, gt=0)
    """An actor that is busy with one row for longer, a prompt with all its candidates, is hung: another takes its
    place. Where rows share batches, so many times longer for all."""

    @property
    def most(self) -> int:
        """Actors that the pool may have."""
        return max(self.actors, self.max_actors or 0)


class BudgetConfig(Section):
    """What the pools of a stage share: how much each of them gets is decided by how fast their actors are, which is
    measured at the stage's first units. `actors` of a pool is then the least that it gets, `max_actors` the most."""

    gpus: float | None = Field(None, gt=0)
    """That the pools with `num_gpus` have together; others keep their sizes."""
    actors: int | None = Field(None, ge=1)
    """That all pools have together."""

    @model_validator(mode="after")
    def _one_of_them(self) -> BudgetConfig:
        if (self.gpus is None) == (self.actors is None):
            raise ValueError("budget: set gpus or actors")
        return self

    @property
    def total(self) -> float:
        return self.gpus or self.actors or 0

    def cost(self, pool: PoolConfig) -> float:
        """Of one actor; 0 where the pool takes no part."""
        return 1 if self.actors else pool.num_gpus

    def need(self, pools: dict[str, PoolConfig]) -> None:
        """ValueError unless all pools can have their least sizes at the same time, and one takes part."""
        least = sum(self.cost(pool) * pool.actors for pool in pools.values())
        if not least:
            raise ValueError(f"budget: none of {', '.join(pools)} has num_gpus")
        if least > self.total:
            raise ValueError(f"budget: {self.total:g} is less than the actors of {', '.join(pools)}: {least:g}")

    def split(self, seconds: dict[str, float], pools: dict[str, PoolConfig]) -> dict[str, int]:
        """How many actors each pool gets so that the slowest is as fast as can be, and nothing is spent on the others.

        seconds: of one actor for a row, by pool. Each step gives an actor to the pool that all wait for; what is left
        when it can have no more would speed nothing up.
        """
        sizes = {name: pool.actors for name, pool in pools.items()}
        left = self.total - sum(self.cost(pools[name]) * size for name, size in sizes.items())
        while True:
            slowest = max(sizes, key=lambda name: seconds[name] / sizes[name])
            cost, most = self.cost(pools[slowest]), pools[slowest].max_actors
            if not cost or cost > left + 1e-9 or (most is not None and sizes[slowest] >= most):
                return sizes
            sizes[slowest] += 1
            left -= cost


class LoraConfig(Section):
    rank: int = Field(16, ge=1)
    alpha: float = 32
    dropout: float = 0.0
    targets: str | list[str] = "all-linear"


class TrainConfig(Placement):
    """What every training has in common: Ray Train workers, DeepSpeed ZeRO, optimizer and checkpoints."""

    workers: int = Field(1, ge=1)
    min_workers: int | None = Field(None, ge=1)
    """Set it below `workers` to train with fewer while there are not enough nodes, and with more once there are; at
    each change the training goes on from its last checkpoint, under any ZeRO stage. Fewer workers each do the work of
    several, so that a step has the same rows and `workers` is a multiple of as many as there are."""
    num_cpus: float = 1
    """CPUs of one worker."""
    use_gpu: bool = False
    zero_stage: Literal[0, 1, 2, 3] = 2
    bf16: bool = False
    """CPUs without instructions for bfloat16 are tens of times slower with it; a training warns of that."""
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

    @model_validator(mode="after")
    def _shares_are_carried_evenly(self) -> TrainConfig:
        if self.min_workers and self.workers % self.min_workers:
            raise ValueError(f"min_workers must divide workers ({self.workers}): each then does the work of as many")
        return self


class RewardConfig(TrainConfig):
    """SFT of the base VLM into the judge (paper III-B)."""

    train_vision: bool = True
    """Trains what comes before the language model, too: the vision encoder and what projects its features. What no loss
    can move of that, such as layers behind the one whose features are taken, is frozen in any case."""
    task_weights: dict[Task, Annotated[float, Field(gt=0)]] = {}
    """Share of each task in the mixture relative to the others'; 1 where a task is not named."""
    attention: str | None = None
    """eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose."""


class DpoConfig(TrainConfig):
    """Diffusion-DPO (paper III-D; arXiv 2311.12908, eq. 14)."""

    beta: float = Field(5000.0, gt=0)
    """T * omega(lambda_t) is folded in. The loss uses beta / 2 and mean, not summed, squared errors, as published."""
    sft_weight: float = Field(0.0, ge=0)
    """Adds the denoising error of winners, as a share of the reference's, to the loss: as `loss_type: [sigmoid, sft]`
    does for answers. With it winners' errors do not grow along with losers', so learning rates may be higher."""
    reference: Literal["copy", "adapter_off", "stored"] = "copy"
    """A frozen copy of the policy, the policy with its LoRA adapter switched off, or no model at all: errors of the
    reference that were stored with each pair for a fixed set of timesteps and noises."""
    stored_draws: int = Field(8, ge=1)
    """Timesteps and noises that `reference: stored` keeps for a pair; training takes one of them at each visit."""
    encode_pool: PoolConfig = PoolConfig()
    """Encodes each pair once, before the training: media to latents, prompts to embeddings."""
    encode_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the frozen encoders and of what they leave. An autoencoder whose configuration says `force_upcast` runs in
    float32 all the same."""
    min_timestep: int = Field(0, ge=0)
    max_timestep: int | None = None
    """Timesteps are drawn from `min_timestep` up to, and without, this one (of a flow, above the one and up to the
    other); None is how many the scheduler has."""
    timesteps: Annotated[list[int], Field(min_length=1)] | None = None
    """Draws from these alone, all equally likely: SDXL-Turbo knows no others than 249, 499, 749 and 999."""
    zero_terminal_snr: bool = False
    """Rescales the scheduler's variances so that the last timestep is noise and nothing else (arXiv 2305.08891), as
    published for SDXL-Turbo. One that predicts epsilon learns nothing at that timestep; one that predicts v does."""
    flow_density: Literal["uniform", "logit_normal"] = "uniform"
    """How often a flow's times are drawn, before the scheduler's shift: each alike, or those in the middle more often
    (arXiv 2403.03206)."""
    logit_mean: float = 0.0
    logit_std: float = Field(1.0, gt=0)
    """Of the logit of a flow's time, where `flow_density` is logit_normal."""
    train_text_encoder: Literal[False] = False
    train_only: Annotated[list[str], Field(min_length=1)] | None = None
    """Trains those parameters of the denoiser alone whose names contain one of these, or with `lora` adapters on them;
    None trains all. [motion_modules] changes how clips of AnimateDiff move, and not the pictures under them."""
    guard_patience: int = Field(3, ge=0)
    """Stop with an error when the denoising errors of winners and losers both exceed the reference's by `guard_ratio`
    for this many logs; 0 never stops."""
    guard_ratio: float = Field(0.5, gt=0)

    @property
    def plain(self) -> bool:
        """Whether the loss is the paper's and nothing else."""
        return self.sft_weight == 0

    @model_validator(mode="after")
    def _reference_needs_adapter(self) -> DpoConfig:
        if self.reference == "adapter_off" and self.lora is None:
            raise ValueError("reference: adapter_off needs a lora section")
        return self

    @model_validator(mode="after")
    def _one_choice_of_timesteps(self) -> DpoConfig:
        if self.timesteps is not None and (self.min_timestep or self.max_timestep is not None):
            raise ValueError("timesteps names all that are drawn: leave min_timestep and max_timestep out")
        return self

    @model_validator(mode="after")
    def _one_choice_of_parts(self) -> DpoConfig:
        if self.train_only and self.lora and self.lora.targets != "all-linear":
            raise ValueError("train_only and lora.targets both say what is trained: leave one out")
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
    train_vision: bool = True
    """As `RewardConfig.train_vision`."""
    attention: str | None = None
    """eager, sdpa, flash_attention_2, ... as transformers names them; None lets it choose."""
    reference_batch: int = Field(8, ge=1)
    """Pairs of one forward pass of the reference."""
    encode_pool: PoolConfig = PoolConfig()
    """Reads each pair with the reference once, before the training."""
    guard_patience: int = Field(3, ge=0)
    """Stop with an error when chosen and rejected answers both lie `guard_ratio` below the reference for this many
    logs; 0 never stops."""
    guard_ratio: float = Field(0.5, gt=0)
    """Fall of the mean log-probability as a share of the reference's: 0.5 is from -20 to -30."""

    @property
    def plain(self) -> bool:
        """Whether the loss is the paper's and nothing else."""
        return self.loss_type == ["sigmoid"] and self.loss_weights in (None, [1.0])

    @model_validator(mode="after")
    def _losses_fit_together(self) -> VlmDpoConfig:
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise ValueError("loss_weights must name one weight for each loss_type")
        if "exo_pair" in self.loss_type and not self.label_smoothing:
            raise ValueError("loss_type: exo_pair needs label_smoothing above 0; its paper takes 0.001")
        return self

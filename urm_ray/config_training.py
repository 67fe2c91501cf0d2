"""The settings of trainings, and what all sections of a configuration share; `config.py` puts them together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["image_generation", "image_understanding", "video_generation", "video_understanding"]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class PoolConfig(Section):
    """A pool of Ray actors that each hold one model."""

    actors: int = Field(1, ge=1)
    max_actors: int | None = None
    """Set it above `actors` to let the pool grow when work waits."""
    num_cpus: float = 1
    num_gpus: float = 0
    accelerator_type: str | None = None
    """The value of the node label `ray.io/accelerator-type`, such as H100; None takes any node."""


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
    min_timestep: int = Field(0, ge=0)
    max_timestep: int | None = None
    train_text_encoder: Literal[False] = False
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

"""Every setting of a run, with its meaning beside it. One YAML file is one run; `config_file.py` reads it.

Importable without torch or Ray.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from urm_ray.clips import Sampling
from urm_ray.config_training import DpoConfig, PoolConfig, RewardConfig, Section, Task, VlmDpoConfig
from urm_ray.schema import digest


class RunConfig(Section):
    dir: str = "runs/run"
    """Folder of the run: a path, absolute or relative to where the job starts, on storage that all nodes share."""
    seed: int = 0
    """The one source of randomness; everything else is derived from it and from ids."""
    min_free_mib: int = Field(200, ge=0)
    """A stage does not start with less free space than this in a local run folder."""


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


class Amounts(Section):
    """How many rows of a task are taken where it is another number than for the others."""

    train_pairs: int | None = Field(None, ge=0)
    train_points: int | None = Field(None, ge=0)
    heldout_pairs: int | None = Field(None, ge=1)
    heldout_points: int | None = Field(None, ge=1)
    train_prompts: int | None = Field(None, ge=1)
    heldout_prompts: int | None = Field(None, ge=1)


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
    amounts: dict[Task, Amounts] = Field(default_factory=dict)
    """Other numbers for single tasks."""
    unit_rows: int = Field(250, ge=1)
    """Rows of one unit of work, which is written whole or not at all."""
    cpus: float = 1

    def of_task(self, task: Task) -> PrepareConfig:
        """The settings of one task."""
        own = self.amounts.get(task, Amounts()).model_dump(exclude_none=True)
        return self.model_copy(update={**own, "amounts": {}})


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
    clips: ClipConfig = DEFAULT_CLIPS
    """How the judge is shown clips; it is trained to see them so, too."""
    min_mass: float = Field(0.1, ge=0, le=1)
    """An answer counts as unparsed when the possible answers together have less than this probability."""
    actors: PoolConfig = PoolConfig()
    """The pool that measures judges on held-out preferences."""
    resamples: int = Field(2000, ge=100)
    """Draws of the bootstrap behind the 95% intervals."""


class PairsConfig(Section):
    """What the judge is asked about candidates, and how its verdicts become preference pairs (paper III-C)."""

    ranking: Literal["adjacent"] = "adjacent"
    both_orders: bool = True
    """Asks about each pair in both orders, or with the lower index shown first alone, as published."""
    orders: Literal["asked", "first"] = "asked"
    """Goes by the verdicts of every order asked, or by those with the lower index shown first alone."""
    ties: Literal["drop", "point"] = "drop"
    """A tie, or two orders that disagree: drop the pair, or let the point scores decide it."""
    construction: Literal["pair_point", "pair", "point", "random"] = "pair_point"
    """How a prompt's candidates become one pair (paper, Table XII).
    pair_point: the best point score among the winners of the ranked pairs against the worst among their losers.
    pair: one of the ranked pairs that has a winner, drawn by ids; point scores have no say but through `ties`.
    point: the best point score of all candidates against the worst, whatever ranking says.
    random: two candidates that differ, drawn by ids, whatever the judge says."""
    min_margin: float = Field(0.0, ge=0)
    """Keep a prompt only if chosen score - rejected score is greater than this; of `pair_point` and `point`."""
    keep: int | None = Field(None, ge=1)
    """At most this many pairs, those that come first by a hash of the prompt's id; None keeps all."""

    @property
    def compares_orders(self) -> bool:
        """Whether the verdicts of two orders are held against each other."""
        return self.both_orders and self.orders == "asked"

    def asked(self) -> dict[str, Any]:
        """The settings that the judge's questions depend on; the others only say how its verdicts are read."""
        return {"ranking": self.ranking, "both_orders": self.both_orders}


class GenerateConfig(Section):
    """The streaming stage: sampler pool, judge pool."""

    unit_rows: int = Field(8, ge=1)
    sampler_pool: PoolConfig = PoolConfig()
    judge_pool: PoolConfig = PoolConfig()


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
            {"dtype": self.dtype, "path": self.path} | {name: _essential(getattr(self, name)) for name in names}
        )


class ReportConfig(Section):
    title: str = "Preference alignment run"
    grid: int = Field(12, ge=0)
    """Prompts shown with pictures before and after."""
    pairs: int = Field(6, ge=0)
    """Best and worst pairs shown with their verdicts."""


class ExperimentsConfig(Section):
    """The paper's experiments in miniature (`urm_ray.experiments`)."""

    only: list[Literal[1, 2, 3, 4]] = Field([1, 2, 3, 4], min_length=1)
    """1 joint against single-task judges, 2 how pairs are made, 3 one order against both, 4 a second round."""
    task: Task | None = None
    """Whose policy is aligned in 2 to 4; None takes the first of `tasks`."""
    seeds: int = Field(3, ge=1)
    """Runs of 2 and 3, from `run.seed` on; 1 and 4 have the first alone."""
    pairs: int = Field(200, ge=1)
    """Pairs that each policy is aligned with, however they are made."""


class Config(Section):
    """A whole run."""

    run: RunConfig = RunConfig()
    tasks: list[Task] = Field(["image_generation"], min_length=1)
    """The tasks of this run. One judge is trained on all of them, and the policy of each is aligned."""
    judge_base: ModelConfig = ModelConfig()
    prepare: PrepareConfig = PrepareConfig()
    reward: RewardConfig = RewardConfig()
    judge: JudgeConfig = JudgeConfig()
    pairs: PairsConfig = PairsConfig()
    policies: dict[Task, PolicyConfig] = Field(default_factory=dict)
    """A policy for each task; those of tasks that the run leaves out are not used."""
    report: ReportConfig = ReportConfig()
    experiments: ExperimentsConfig = ExperimentsConfig()

    @model_validator(mode="after")
    def _every_task_once(self) -> Config:
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks: each task can be named once")
        return self

    def policy(self, task: Task) -> PolicyConfig:
        return self.policies.get(task, PolicyConfig())

    def dpo(self, task: Task) -> DpoConfig | VlmDpoConfig:
        """How the policy of a task is aligned."""
        policy = self.policy(task)
        return policy.vlm_dpo if understands(task) else policy.dpo

    def digest_of(self, *names: str) -> str:
        """Digest of the named sections, without what cannot change a result: pools, CPUs and the place of the run."""
        return digest({name: _essential(getattr(self, name)) for name in names})

    def digest_of_prepare(self, task: Task, prompts: bool = True) -> str:
        """As `digest_of`, for the rows of one task; of its preferences alone where `prompts` is false."""
        left_out = set() if prompts else {"prompts", "prompts_path", "train_prompts", "heldout_prompts"}
        section = _essential(self.prepare.of_task(task))
        return digest({name: value for name, value in section.items() if name not in left_out})


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


def understands(task: Task) -> bool:
    """Whether the policy of a task answers questions, and does not make pictures or clips."""
    return task.endswith("understanding")


def _essential(section: Section) -> dict[str, Any]:
    return {key: value for key, value in section.model_dump(mode="json").items() if key not in _PLACEMENT}

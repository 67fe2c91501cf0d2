"""Every setting of a run, with its meaning beside it. One YAML file is one run; `config_file.py` reads it.

Importable without torch or Ray.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, StrictBool, model_validator

from urm_ray.config_engines import HttpConfig, VllmConfig
from urm_ray.config_pairs import PairsConfig, as_published
from urm_ray.config_planning import PlanningConfig
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig, ModelConfig, PolicyConfig, essential, understands
from urm_ray.config_tracking import TrackingConfig
from urm_ray.config_training import DpoConfig, PoolConfig, RewardConfig, Section, Task, VlmDpoConfig
from urm_ray.schema import digest


class RunConfig(Section):
    dir: str = "runs/run"
    """Folder of the run: a path, absolute or relative to where the job starts, on storage that all nodes share; or a
    URI of an object store (`urm_ray.file_systems`)."""
    seed: int = 0
    """The one source of randomness; everything else is derived from it and from ids."""
    min_free_mib: int = Field(200, ge=0)
    """A stage does not start with less free space than this in a local run folder."""
    put_aside_share: float = Field(0.05, ge=0, le=1)
    """Of a stage's rows, that may be put aside because they end, block or break the process that works on them; the
    stage stops where there are more, as something else is wrong then. Ten may be in any case."""
    dashboard_host: str = "127.0.0.1"
    """Where Ray's dashboard listens if the run starts Ray itself: on this machine alone. It can start jobs."""
    node_wait_s: float = Field(600.0, ge=0)
    """How long a stage waits for a node that can hold what it asks for, on a cluster that was there before the run: an
    autoscaler may bring one, or whoever replaces a node that was lost."""


class TaskData(Section):
    """What of `PrepareConfig` a task has otherwise than the others."""

    preferences: str | None = None
    preferences_path: str | None = None
    prompts: str | None = None
    prompts_path: str | None = None
    train_pairs: int | None = Field(None, ge=0)
    train_points: int | None = Field(None, ge=0)
    heldout_pairs: int | None = Field(None, ge=1)
    heldout_points: int | None = Field(None, ge=1)
    train_prompts: int | None = Field(None, ge=0)
    heldout_prompts: int | None = Field(None, ge=0)


class PrepareConfig(Section):
    """Where human preferences and prompts come from, and how many are taken of each task."""

    preferences: str = "parquet"
    """A source by name (`urm_ray.sources.registry`), a published data set by the name of its reader
    (`urm_ray.sources.reader`), or `module:Class`."""
    preferences_path: str | None = None
    prompts: str = "jsonl"
    prompts_path: str | None = None
    train_pairs: int = Field(4000, ge=0)
    train_points: int = Field(4000, ge=0)
    heldout_pairs: int = Field(1000, ge=1)
    heldout_points: int = Field(1000, ge=1)
    train_prompts: int = Field(300, ge=0)
    """For which candidates are made; 0 where a judge is trained and nothing else is done."""
    heldout_prompts: int = Field(500, ge=0)
    """On which policies are measured; 0 where none is."""
    tasks: dict[Task, TaskData] = Field(default_factory=dict)
    """Other places and numbers for single tasks."""
    unit_rows: int = Field(250, ge=1)
    """Rows of one unit of work, which is written whole or not at all."""
    cpus: float = 1

    def of_task(self, task: Task) -> PrepareConfig:
        """The settings of one task."""
        own = self.tasks.get(task, TaskData()).model_dump(exclude_none=True)
        return self.model_copy(update={**own, "tasks": {}})


class JudgeConfig(Section):
    path: str = ""
    """A judge that is trained already, such as a released one: a folder, URI or hub name. The run then trains none, and
    needs no preferences. Empty takes the judge that `reward` trains."""
    engine: Literal["transformers", "vllm", "http"] = "transformers"
    """What runs the judge: transformers or vLLM in the actors of its pools, or an OpenAI-compatible server, which is
    asked by http and has to serve the judge of `path`."""
    http: HttpConfig = HttpConfig()
    vllm: VllmConfig = VllmConfig()
    overlap: int = Field(8, ge=1)
    """Batches of work that one actor asks about at the same time, so that an engine which schedules questions itself
    (vllm, http) never runs dry between them; their pictures and clips are in memory together."""
    protocol: str = "unified"
    """How the judge is asked and read: one of `urm_ray/judge/protocols`, or the path of a .yaml file of that form."""
    readout: Literal["logits", "generate"] = "logits"
    """logits: the probabilities of the possible answers, with no decoding, where a protocol knows all of them.
    generate: the answer is decoded, the likeliest token at each step, and parsed; for judges that reason first."""
    max_new_tokens: int = Field(1024, ge=1)
    """Of one decoded answer. What has no end by then counts as unparsed, unless a whole verdict stands in it."""
    batch: int = Field(64, ge=1)
    """Questions looked at together, pairs and points mixed: what they share is computed once."""
    batch_tokens: int = Field(16384, ge=1)
    """Tokens of one pass of the language model, padding included; a longer question is alone in its pass."""
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

    @model_validator(mode="after")
    def _server_is_named(self) -> JudgeConfig:
        if self.engine == "http" and not (self.http.base_url and self.http.model):
            raise ValueError("engine http: set judge.http.base_url and judge.http.model")
        return self

    @property
    def unused(self) -> set[str]:
        """The settings that are of other engines than the one in use."""
        if self.engine == "transformers":
            return {"http", "vllm"}
        return {"batch", "batch_tokens", "attention"} | ({"vllm", "dtype"} if self.engine == "http" else {"http"})


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
    tracking: TrackingConfig = TrackingConfig()
    planning: PlanningConfig = PlanningConfig()
    """What `--plan` reckons with; no stage depends on it."""
    paper_exact: StrictBool = False
    """Asks and sifts as the published scripts do, for comparison: stands for `config_pairs.PUBLISHED`, and none of that
    can be set otherwise beside it. The published procedure (paper III-C; the same in all four scripts): adjacent pairs
    in one order, the lower index shown first; answers decoded greedily; a point score of every candidate; a tie is a
    win of the candidate shown first; the best of the winners against the worst of the losers, the lower index between
    equals; no pair unless the chosen one's score is greater.
    Faults of the scripts are not part of it, and are counted and dropped here as everywhere: answers that cannot be
    read and refusals taken for a win of the first, or for a score of 0; fractions cut off scores; scores compared as
    text; black frames for clips that do not decode."""

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, values: Any) -> Any:
        return as_published(values) if isinstance(values, dict) and values.get("paper_exact") is True else values

    @model_validator(mode="after")
    def _every_task_once(self) -> Config:
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks: each task can be named once")
        return self

    @model_validator(mode="after")
    def _served_judge_is_there(self) -> Config:
        if self.judge.engine == "http" and not self.judge.path:
            raise ValueError("judge.engine: http asks a judge that is served already: name it in judge.path")
        return self

    @model_validator(mode="after")
    def _a_judge_gets_its_gpus(self) -> Config:
        stages = [stage for policy in self.policies.values() for stage in (policy.generate, policy.evaluate)]
        used, shared = {pool.num_gpus for pool in (self.judge.actors, *(s.judge_pool for s in stages))}, self.judge.vllm
        if self.judge.engine == "vllm" and not used <= {0, shared.tensor_parallel_size}:
            raise ValueError(
                f"num_gpus of a judge's pool: vLLM takes as many as judge.vllm.tensor_parallel_size"
                f" ({shared.tensor_parallel_size}), or none on CPUs"
            )
        return self

    def policy(self, task: Task) -> PolicyConfig:
        return self.policies.get(task, PolicyConfig())

    def dpo(self, task: Task) -> DpoConfig | VlmDpoConfig:
        """How the policy of a task is aligned."""
        policy = self.policy(task)
        return policy.vlm_dpo if understands(task) else policy.dpo

    def digest_of(self, *names: str) -> str:
        """Digest of the named sections, without what cannot change a result: pools, CPUs and the place of the run."""
        return digest({name: essential(getattr(self, name)) for name in names})

    def digest_of_prepare(self, task: Task, prompts: bool = True) -> str:
        """As `digest_of`, for the rows of one task; of its preferences alone where `prompts` is false."""
        left_out = set() if prompts else {"prompts", "prompts_path", "train_prompts", "heldout_prompts"}
        section = essential(self.prepare.of_task(task))
        return digest({name: value for name, value in section.items() if name not in left_out})

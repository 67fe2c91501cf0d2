"""The settings of judges on benchmarks: who is asked, and about what. Importable without torch or Ray."""

from __future__ import annotations

from pydantic import Field, model_validator

from urm_ray.config import JudgeConfig
from urm_ray.config_training import Section


class BenchmarkConfig(Section):
    """Judges that are put to benchmarks, all of them under the same settings."""

    judges: dict[str, str] = Field(default_factory=dict)
    """For a name of one's own, a judge's folder or its name on the hub."""
    benchmarks: dict[str, str] = Field(default_factory=dict)
    """For a benchmark by name (`urm_ray.reward_benchmarks.registry`) or `module:Class`, its folder or file, or a name
    on the hub; empty takes the benchmark's own name there. NAME@LABEL tells several folders of one apart."""
    judge: JudgeConfig = JudgeConfig()
    """How judges are asked."""
    points: bool | None = None
    """Whether candidates are also scored alone; None does so where people labelled several dimensions."""
    limit: int | None = Field(None, ge=1)
    """At most so many records of each benchmark, in units that a hash draws."""
    judgements: int = Field(9, ge=1)
    """Of how many judgements of an item VL-RewardBench's majority is taken."""
    seed: int = 0
    """Of the intervals, and of the orders in which judgements of a majority are given."""
    unit_rows: int = Field(32, ge=1)
    """Items of one unit of work, which is written whole or not at all, and whose pictures are in memory together."""
    put_aside_share: float = Field(0.05, ge=0, le=1)
    """Of the items of a judge, that may end, hang or break its process before it is stopped; ten may in any case."""

    @model_validator(mode="after")
    def _something_to_ask(self) -> BenchmarkConfig:
        if bool(self.judges) != bool(self.benchmarks):
            raise ValueError("judges and benchmarks: name at least one of each")
        return self

    @model_validator(mode="after")
    def _one_judge_is_served(self) -> BenchmarkConfig:
        if self.judge.engine == "http" and len(self.judges) > 1:
            raise ValueError(
                "judges: a server (judge.engine http) serves one of them: put each to benchmarks on its own"
            )
        return self

"""The figures of a run, as report.json holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from urm_ray import store
from urm_ray.config import Config
from urm_ray.evaluation.metrics import share
from urm_ray.evaluation.policy import is_hacking
from urm_ray.run_folder import Stage


@dataclass(frozen=True)
class Sources:
    """The finished stages by name (`run.key`), in the order in which they ran, and their configuration.

    missing: the names of those that are not finished, where the run is not.
    """

    stages: dict[str, Stage]
    config: Config
    missing: tuple[str, ...] = ()

    def of(self, name: str, task: str) -> Stage:
        """A stage that every task has for itself."""
        return self.stages[f"{name}-{task}"]

    def has(self, task: str, *names: str) -> bool:
        """Whether these stages of a task are finished."""
        return all(f"{name}-{task}" in self.stages for name in names)

    @property
    def trained_judge(self) -> bool:
        """Whether the run trained its judge."""
        return "reward" in self.stages


def summary(sources: Sources) -> dict[str, Any]:
    """`tasks.<task>` with judge, pairs and policy figures; `mix`, what the judge learned from; `seconds` of each stage
    and in total; the run's settings. `judge` and `mix` are null where the judge was not trained here, and what comes of
    stages that are not finished is null or left out."""
    seconds = {name: stage.manifest()["seconds"] for name, stage in sources.stages.items()}
    return {
        "tasks": {task: _task(sources, task) for task in sources.config.tasks},
        "mix": store.read_json(sources.stages["reward"].path("mix.json")) if sources.trained_judge else None,
        "seconds": {"total": round(sum(seconds.values()), 3), "stages": seconds},
        "seed": sources.config.run.seed,
        "digests": {name: stage.digest for name, stage in sources.stages.items()},
    }


def _task(sources: Sources, task: str) -> dict[str, Any]:
    names = [name for name in ("prepare", "pairs", "dpo", "evaluate") if sources.has(task, name)]
    found = {name: sources.of(name, task).manifest() for name in names}
    trainings = {"reward": sources.stages["reward"].manifest()} if sources.trained_judge else {}
    trainings |= {name: manifest for name, manifest in found.items() if name == "dpo"}
    prepared, evaluated = found.get("prepare", {}), found.get("evaluate", {}).get("figures")
    return {
        "judge": _judge(sources, task) if "judge" in sources.stages else None,
        "pairs": _pairs(found["pairs"]["audit"], sources.config.pairs.compares_orders) if "pairs" in found else None,
        "policy": {**evaluated, "hacking": is_hacking(evaluated), "unscored": _unscored(sources, task)}
        if evaluated
        else None,
        "training": {name: {k: manifest[k] for k in ("steps", "final_loss")} for name, manifest in trainings.items()},
        "rows": prepared.get("rows"),
        "quarantined": prepared.get("quarantined"),
    }


def _unscored(sources: Sources, task: str) -> dict[str, int]:
    """Prompts that the scorer failed at, before and after."""
    parts = {"before": "baseline", "after": "evaluate"}
    there = {part: name for part, name in parts.items() if sources.has(task, name)}
    return {part: sources.of(name, task).manifest().get("unscored", 0) for part, name in there.items()}


def _pairs(audit: dict[str, Any], both_orders: bool) -> dict[str, Any]:
    return {
        "prompts": audit["prompts"],
        "kept": audit["kept"],
        "dropped": audit["dropped"],
        # In one order there is nothing to agree with: a figure without a value, not a zero.
        "order_agreement": share(audit["orders_agreed"], audit["pairs_asked"] if both_orders else 0),
        "first_preferred": share(audit["first_preferred"], audit["verdicts"]),
    }


def _judge(sources: Sources, task: str) -> dict[str, Any]:
    figures = sources.stages["judge"].manifest()["figures"][task]
    judge, base = figures["judge"], figures["base"]
    return {
        "pair_accuracy": judge["pair_accuracy"],
        "base_pair_accuracy": base["pair_accuracy"],
        "point_spearman": judge["point_spearman"],
        "base_point_spearman": base["point_spearman"],
        "pair_accuracy_strict": judge["pair_accuracy_strict"],
        "tie_accuracy": judge["tie_accuracy"],
        "order_agreement": judge["order_agreement"],
        "calibration_error": judge.get("calibration_error"),  # a judge that decodes has none
        "unparsed": judge["unparsed"],
    }

"""Experiment 1: one judge trained on all tasks against a judge for each, at equal numbers of SFT steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from urm_ray.config import Config
from urm_ray.config_training import Task
from urm_ray.evaluation.metrics import Figure, mean
from urm_ray.evaluation.preferences import right
from urm_ray.experiments.variants import TO_JUDGE, Experiment, Finding, Variant, derived

JOINT = "joint"


def variants(base: Config) -> Iterator[Variant]:
    yield Variant(JOINT, base, TO_JUDGE)
    for task in base.tasks:
        yield Variant(f"single-{task}", derived(base, {"tasks": [task]}), TO_JUDGE, task)


def findings(base: Config, done: Mapping[str, Variant]) -> list[Finding]:
    found = []
    for task in base.tasks:
        one, joint = done[f"single-{task}"], done[JOINT]
        single, all_ = (judge.run.finished("judge").manifest()["figures"][task] for judge in (one, joint))
        found += [
            Finding(task, "untrained", all_["base"]["pair_accuracy"]),
            Finding(task, "single-task", single["judge"]["pair_accuracy"]),
            Finding(task, "joint", all_["judge"]["pair_accuracy"]),
            Finding(task, "joint less single", _difference(base, joint, one, task), signed=True),
            Finding(task, "Spearman, single-task", single["judge"]["point_spearman"]),
            Finding(task, "Spearman, joint", all_["judge"]["point_spearman"]),
        ]
    return found


def _difference(base: Config, joint: Variant, single: Variant, task: Task) -> Figure:
    """Accuracy of joint less that of single over the same pairs, human ties left out."""
    new, old = _right(joint, task), _right(single, task)
    return mean(
        [new[pair] - old[pair] for pair in sorted(new.keys() & old.keys())], base.run.seed, base.judge.resamples
    )


def _right(judge: Variant, task: Task) -> dict[str, int]:
    """Whether the judge was right, by preference."""
    results: list[dict[str, Any]] = judge.run.finished("judge").rows("judge").to_pylist()
    own = [r for r in results if r["task"] == task and r["label"] in ("first", "second")]
    return {r["preference_id"]: int(right(r)) for r in own}


JUDGES = Experiment(
    1,
    "One judge for all tasks against a judge for each, at equal numbers of SFT steps",
    variants,
    findings,
    "Accuracy on held-out pairs, human ties left out, and rank correlation with held-out point scores. "
    "The difference is paired over the same pairs.",
    {
        "image_generation": "GenAI-Bench 65.0 → 70.9 (Table IX, single step-matched → joint)",
        "video_generation": "GenAI video 63.1 → 79.3 (Table IX)",
        "image_understanding": "VL-RewardBench 49.0 → 66.1 (Table IX)",
        "video_understanding": "ShareGPTVideo 75.5 → 84.0 (Table IX)",
    },
)

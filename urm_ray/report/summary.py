"""The figures of a run, as report.json holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from urm_ray.config import Config
from urm_ray.evaluation.metrics import share
from urm_ray.store import Stage


@dataclass(frozen=True)
class Sources:
    """The finished stages by name, and the configuration they ran with."""

    stages: dict[str, Stage]
    config: Config


def summary(sources: Sources) -> dict[str, Any]:
    """`tasks.<task>` with judge, pairs and policy figures; `seconds` of each stage and in total; the run's settings."""
    manifests = {name: stage.manifest() for name, stage in sources.stages.items()}
    judge, base = (manifests["judge"]["figures"][name] for name in ("judge", "base"))
    audit, policy = manifests["generate"]["audit"], manifests["evaluate"]["figures"]
    seconds = {name: manifest["seconds"] for name, manifest in manifests.items()}
    task = {
        "judge": {
            "pair_accuracy": judge["pair_accuracy"],
            "base_pair_accuracy": base["pair_accuracy"],
            "point_spearman": judge["point_spearman"],
            "base_point_spearman": base["point_spearman"],
            "pair_accuracy_strict": judge["pair_accuracy_strict"],
            "tie_accuracy": judge["tie_accuracy"],
            "order_agreement": judge["order_agreement"],
            "unparsed": judge["unparsed"],
        },
        "pairs": {
            "prompts": audit["prompts"],
            "kept": audit["kept"],
            "dropped": audit["dropped"],
            # With one order asked there is nothing to agree with: a figure without a value, not a zero.
            "order_agreement": share(
                audit["orders_agreed"], audit["pairs_asked"] if sources.config.pairs.both_orders else 0
            ),
            "first_preferred": share(audit["first_preferred"], audit["verdicts"]),
        },
        "policy": policy,
        "training": {name: {k: manifests[name][k] for k in ("steps", "final_loss")} for name in ("reward", "dpo")},
        "quarantined": manifests["prepare"]["quarantined"],
    }
    return {
        "tasks": {sources.config.tasks[0]: task},
        "seconds": {"total": round(sum(seconds.values()), 3), "stages": seconds},
        "seed": sources.config.run.seed,
        "digests": {name: stage.digest for name, stage in sources.stages.items()},
    }

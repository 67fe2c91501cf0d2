"""The judge that a run puts candidates to: the one it trains, or one that it was given."""

from __future__ import annotations

from dataclasses import dataclass

from urm_ray.models import checked
from urm_ray.pipeline.mix_report import learned_scales, noted_scales
from urm_ray.pipeline.run import Run


@dataclass(frozen=True)
class JudgeModel:
    """scales: for a task, the scale on which the judge scores it, where it is not the protocol's."""

    path: str
    digest: str
    scales: dict[str, str]


def judge_model(run: Run) -> JudgeModel:
    """StoreError while the judge that the run trains is not done."""
    if not run.trains_judge:
        path = checked(run.config.judge.path)
        return JudgeModel(path, run.judge_digest, noted_scales(path))
    reward = run.finished("reward")
    return JudgeModel(reward.path("model"), reward.digest, learned_scales(reward))

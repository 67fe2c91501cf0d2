"""The stages in the order in which data meets them."""

from __future__ import annotations

from collections.abc import Sequence

from urm_ray import store
from urm_ray.pipeline.evaluate_judge import evaluate_judge
from urm_ray.pipeline.evaluate_policy import evaluate_policy
from urm_ray.pipeline.generate_pairs import generate_pairs
from urm_ray.pipeline.make_report import make_report
from urm_ray.pipeline.prepare import prepare
from urm_ray.pipeline.run import Run, StageFunction, execute
from urm_ray.pipeline.train_dpo import train_dpo
from urm_ray.pipeline.train_reward import train_reward

FUNCTIONS: dict[str, StageFunction] = {
    "prepare": prepare,
    "reward": train_reward,
    "judge": evaluate_judge,
    "generate": generate_pairs,
    "dpo": train_dpo,
    "evaluate": evaluate_policy,
    "report": make_report,
}


def run_stages(run: Run, names: Sequence[str]) -> None:
    """Runs the named stages; those that are done are only named."""
    run.write_resolved()
    for name in names:
        if name == "report" and not store.exists(store.join(run.folder.uri, "report.html")):
            run.stage(name).forget()
        execute(run, name, FUNCTIONS[name])

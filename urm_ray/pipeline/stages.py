"""The stages in the order in which data meets them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from urm_ray import store
from urm_ray.config_training import Task
from urm_ray.evaluation.scorer import need_scorers
from urm_ray.pipeline.context import listen
from urm_ray.pipeline.evaluate_judge import evaluate_judge
from urm_ray.pipeline.evaluate_policy import baseline, evaluate_policy
from urm_ray.pipeline.generate_pairs import generate, pairs
from urm_ray.pipeline.make_report import make_report
from urm_ray.pipeline.placement import wait_for_nodes
from urm_ray.pipeline.prepare import prepare
from urm_ray.pipeline.run import ALIGNMENT, Run, StageFunction, execute
from urm_ray.pipeline.train_dpo import train_dpo
from urm_ray.pipeline.train_reward import train_reward
from urm_ray.run_folder import Stage
from urm_ray.store import StoreError
from urm_ray.tracking import need_trackers

SHARED: dict[str, StageFunction] = {"reward": train_reward, "judge": evaluate_judge, "report": make_report}
OF_A_TASK: dict[str, Callable[[Run, Stage, Task], dict[str, Any]]] = {
    "prepare": prepare,
    "generate": generate,
    "pairs": pairs,
    "dpo": train_dpo,
    "baseline": baseline,
    "evaluate": evaluate_policy,
}


def run_stages(run: Run, names: Sequence[str]) -> None:
    """Runs the named stages, of every task of the run; those that are done are only named."""
    run.write_resolved()
    run_steps(run, run.steps(names))


def run_steps(run: Run, steps: Sequence[tuple[str, Task | None]]) -> None:
    """Runs (stage, task) in this order; those that are done are only named.

    Before anything is done, StoreError if a task lacks its policy, SourceError if an evaluation has no independent
    scorer, TrackingError if a tracker is missing.
    """
    listen(run.config.run.dashboard_host)
    wait_for_nodes(run.config.run.node_wait_s)
    need_trackers(run.config.tracking)
    for name, task in steps:
        if task and name in ALIGNMENT:
            policy = run.config.policy(task)
            if not policy.path and not (policy.candidates_path and name in ("generate", "pairs")):
                raise StoreError(f"policies.{task}.path: the policy of this task is missing")
    measured = {task: None for name, task in steps if task and name in ("baseline", "evaluate")}
    need_scorers({task: run.config.policy(task).evaluate for task in measured}, run.config.judge.path)
    for name, task in steps:
        stage = run.stage(name, task)
        if name == "report" and not store.exists(store.join(run.folder.uri, "report.html")):
            stage.forget()
        execute(run, stage, _function(name, task))


def _function(name: str, task: Task | None) -> StageFunction:
    if task is None:
        return SHARED[name]
    return lambda run, stage: OF_A_TASK[name](run, stage, task)

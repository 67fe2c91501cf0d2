"""Runs the experiments of a configuration, and writes RUN/experiments.json and RUN/experiments.md after each."""

from __future__ import annotations

from collections.abc import Iterator

from urm_ray import store
from urm_ray.experiments.constructions import CONSTRUCTIONS
from urm_ray.experiments.judges import JUDGES
from urm_ray.experiments.orders import ORDERS
from urm_ray.experiments.rounds import ROUNDS
from urm_ray.experiments.tables import as_json, as_markdown
from urm_ray.experiments.variants import Experiment, Finding, Variant
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.stages import run_steps
from urm_ray.secrets import printed
from urm_ray.store import StoreError

EXPERIMENTS = (JUDGES, CONSTRUCTIONS, ORDERS, ROUNDS)


def plan_experiments(run: Run) -> Iterator[str]:
    """A line for each stage of each variant that is asked for: where it lies and whether it is done."""
    _need_training(run)
    run.stage("reward")  # a checkpoint that is missing for good is told here
    for experiment in _asked(run):
        yield f"experiment {experiment.number}: {experiment.title}"
        for variant in experiment.variants(run.config):
            yield f"  {variant.name}"
            try:
                stages = [variant.run.stage(*step) for step in variant.steps()]
            except StoreError:
                yield "    to do, once there is the policy that it starts from"
                continue
            yield from (f"    {stage.name:30} {'done' if stage.done else 'to do':6} {stage.uri}" for stage in stages)


def run_experiments(run: Run) -> None:
    """Runs what is not done of the experiments asked for; the tables hold those that are done, asked for or not."""
    _need_training(run)
    run.write_resolved()
    others = [e for e in EXPERIMENTS if e not in _asked(run)]
    found = {e.number: e.findings(run.config, done) for e in others if (done := _done(e, run))}
    for experiment in _asked(run):
        print(f"==== experiment {experiment.number}: {experiment.title}", flush=True)
        variants: dict[str, Variant] = {}
        for variant in experiment.variants(run.config):
            print(f"=== {variant.name}", flush=True)
            variant.run.write_resolved(f"variants/{variant.name}.yaml")
            run_steps(variant.run, variant.steps())
            variants[variant.name] = variant
        found[experiment.number] = experiment.findings(run.config, variants)
        _write(run, found)


def _need_training(run: Run) -> None:
    if not run.trains_judge:
        raise StoreError("the experiments train their judges: leave judge.path empty")


def _asked(run: Run) -> list[Experiment]:
    return [e for e in EXPERIMENTS if e.number in run.config.experiments.only]


def _done(experiment: Experiment, run: Run) -> dict[str, Variant]:
    """The variants of an experiment if all are done."""
    variants = {variant.name: variant for variant in experiment.variants(run.config)}
    return variants if all(variant.done() for variant in variants.values()) else {}


def _write(run: Run, found: dict[int, list[Finding]]) -> None:
    seconds = _seconds(run, found)
    facts = {"seed": run.config.run.seed, "seconds": seconds, "experiments": as_json(EXPERIMENTS, found)}
    store.write_json(store.join(run.folder.uri, "experiments.json"), facts)
    text = as_markdown(EXPERIMENTS, found, seconds)
    store.write_bytes(store.join(run.folder.uri, "experiments.md"), text.encode())
    print(printed(f"== tables: {store.join(run.folder.uri, 'experiments.md')}"), flush=True)


def _seconds(run: Run, found: dict[int, list[Finding]]) -> float:
    """Of all stages that the findings rest on; one that several variants share counts once."""
    stages = {
        stage.uri: stage.manifest()["seconds"]
        for experiment in EXPERIMENTS
        if experiment.number in found
        for variant in experiment.variants(run.config)
        for stage in (variant.run.stage(*step) for step in variant.steps())
    }
    return round(sum(stages.values()), 1)

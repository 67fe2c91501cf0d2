"""A run: its configuration, its stages and where each of them lies."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml

from urm_ray import store
from urm_ray.config import Config
from urm_ray.config_pairs import BY_SCORE
from urm_ray.config_policy import understands
from urm_ray.config_training import Task
from urm_ray.fingerprint import fingerprint
from urm_ray.judge.protocol import ProtocolError, protocol
from urm_ray.models import checked
from urm_ray.run_folder import RunFolder, Stage
from urm_ray.schema import digest
from urm_ray.secrets import masked_all, printed
from urm_ray.sources.named_media import media_state
from urm_ray.tracking import log_figures

FORMAT = 4
"""Raised when a stage would write something else from the same settings."""

ALIGNMENT = ("generate", "pairs", "dpo", "baseline", "evaluate")
"""Those of each task, once there is a judge."""
STAGES = ("prepare", "reward", "judge", *ALIGNMENT, "report")
PACKAGES = ("urm_ray", "ray", "torch", "transformers", "trl", "deepspeed", "diffusers", "accelerate", "peft", "pyarrow")


@dataclass
class Run:
    """Everything a stage needs to know. `digests` name the stages' folders and are chained: a stage's digest covers
    its own settings, the models it loads and the digests of the stages it reads."""

    config: Config
    _fingerprints: dict[str, str] = field(default_factory=dict)

    @cached_property
    def folder(self) -> RunFolder:
        return RunFolder.open(self.config.run.dir)

    def model_digest(self, path: str) -> str:
        if path not in self._fingerprints:
            self._fingerprints[path] = fingerprint(checked(path))
        return self._fingerprints[path]

    def data_digest(self, path: str, labels: bool = False, candidates: bool = False) -> str:
        """Of a file or folder of data, and of the media that such a file names (`media_state`), which are not read."""
        known = f"{path} {labels} {candidates}"
        if known not in self._fingerprints:
            content, named = fingerprint(path), media_state(path, labels, candidates)
            self._fingerprints[known] = digest(content, named) if named else content
        return self._fingerprints[known]

    def data_digests(self, task: Task) -> list[str | None]:
        """Of the files that a task's preferences and prompts come from; None where they come from no file."""
        prepare = self.config.prepare.of_task(task)
        learnt, asked = prepare.preferences_path if self.trains_judge else None, prepare.prompts_path
        return [learnt and self.data_digest(learnt, labels=True, candidates=True), asked and self.data_digest(asked)]

    def sampler_digest(self, task: Task, policy: str) -> str:
        """What the candidates of a policy (`policy` is the digest of its weights) depend on."""
        return digest(self.config.policy(task).digest_of("sampler", "clips"), policy, self.config.run.seed)

    def policy_digest(self, task: Task) -> str | None:
        """Of a policy's weights; None where a run has no policy for the task, and does no more than train a judge or
        judge candidates that are there already."""
        path = self.config.policy(task).path
        return self.model_digest(path) if path else None

    @property
    def trains_judge(self) -> bool:
        """Whether this run trains its judge, or takes one that is there already."""
        return not self.config.judge.path

    @cached_property
    def judge_digest(self) -> str:
        """What the judge depends on, and how it is asked and shown what it judges.

        ProtocolError where its protocol cannot be used, read in this way, or taught by the run, or where it does not
        ask what `pairs` goes by.
        """
        c, seed = self.config, self.config.run.seed
        asked = protocol(c.judge.protocol)
        asked.need_readout("logits" if self.trains_judge else c.judge.readout)
        for task in c.tasks:
            if c.pairs.ranking != "none":
                asked.form(task, "pair")
            if c.pairs.construction in BY_SCORE:
                asked.form(task, "point")
            if few := c.pairs.too_few_calls(asked.questions(task, "pair"), asked.questions(task, "point")):
                raise ProtocolError(f"pairs.{few}")
        shown = asked.digest, c.judge.clips.model_dump()
        if not self.trains_judge:
            return digest(FORMAT, shown, self.model_digest(c.judge.path))
        # Of what is prepared the judge sees the preferences: other prompts do not make it another judge.
        learnt = [
            digest(FORMAT, seed, task, c.digest_of_prepare(task, prompts=False), self.data_digests(task)[0])
            for task in c.tasks
        ]
        base = self.model_digest(c.judge_base.path)
        return digest(learnt, seed, c.digest_of("reward", "judge_base"), shown, base)

    @cached_property
    def digests(self) -> dict[str, str]:
        c, seed = self.config, self.config.run.seed
        found = {
            key("prepare", task): digest(FORMAT, seed, task, c.digest_of_prepare(task), self.data_digests(task))
            for task in c.tasks
        }
        if self.trains_judge:
            found |= {"reward": self.judge_digest, "judge": digest(self.judge_digest, c.digest_of("judge"))}
        for task in c.tasks:
            policy = c.policy(task)
            weights = self.policy_digest(task)
            asked = c.digest_of("judge"), c.pairs.asked(), policy.digest_of("sampler", "clips", "generate")
            own = policy.candidates_path
            made = [self.data_digest(own, candidates=not understands(task))] if own else []
            generate = digest(self.judge_digest, found[key("prepare", task)], asked, weights, *made)
            pairs = digest(generate, c.digest_of("pairs"))
            dpo = digest(pairs, policy.digest_of("vlm_dpo" if understands(task) else "dpo"))
            measured = c.digest_of("judge"), policy.digest_of("sampler", "clips", "evaluate")
            rated = [self.model_digest(path) for path in (policy.evaluate.scorer_model,) if path]
            baseline = digest(self.judge_digest, found[key("prepare", task)], measured, weights, *rated)
            values = (generate, pairs, dpo, baseline, digest(baseline, dpo))
            found |= {key(name, task): value for name, value in zip(ALIGNMENT, values, strict=True)}
        found["report"] = digest(list(found.values()), c.digest_of("report"))
        return found

    def steps(self, names: Sequence[str]) -> list[tuple[str, Task | None]]:
        """(stage, task) in the order in which they are run; the task is None where a stage serves all of them."""
        order: list[tuple[str, Task | None]] = [("prepare", task) for task in self.config.tasks]
        order += [(name, None) for name in ("reward", "judge") if self.trains_judge]
        order += [(name, task) for task in self.config.tasks for name in ALIGNMENT]
        return [(name, task) for name, task in [*order, ("report", None)] if name in names]

    def stage(self, name: str, task: Task | None = None) -> Stage:
        return self.folder.stage(key(name, task), self.digests[key(name, task)])

    def finished(self, name: str, task: Task | None = None) -> Stage:
        """A stage that another one reads; StoreError while it is not done."""
        stage = self.stage(name, task)
        if not stage.done:
            raise store.StoreError(
                f"stage {stage.name} is not done in {stage.uri}: run its job, or jobs/pipeline.py, first"
            )
        return stage

    def write_resolved(self, name: str = "config.yaml") -> None:
        """Writes the configuration as resolved, with versions, seed and digests, as a file of the run."""
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        facts = {"python": platform.python_version(), "packages": versions, "digests": self.digests}
        config = masked_all(self.config.model_dump(mode="json"))
        text = yaml.safe_dump({"config": config, **facts}, sort_keys=False)
        store.write_bytes(store.join(self.folder.uri, name), text.encode())


StageFunction = Callable[[Run, Stage], dict[str, Any]]


def key(name: str, task: Task | None = None) -> str:
    """The name of a stage of a task, as its folder and the report have it."""
    return f"{name}-{task}" if task else name


def execute(run: Run, stage: Stage, function: StageFunction) -> dict[str, Any]:
    """Runs a stage unless it is done, and returns its manifest."""
    name = stage.name
    if stage.done:
        manifest = stage.manifest()
        print(printed(f"== {name}: done before in {manifest['seconds']:.0f} s ({stage.uri})"), flush=True)
        return manifest
    run.folder.need_free(run.config.run.min_free_mib)
    print(printed(f"== {name}: {stage.uri}"), flush=True)
    started = time.monotonic()
    spent = stage.path("seconds.json")
    before = store.read_json(spent) if store.exists(spent) else 0.0
    try:
        facts = function(run, stage)
    except BaseException:
        with contextlib.suppress(Exception):  # of what has stopped the stage, such as a full disk: it is told already
            _keep_seconds(stage, spent, before + time.monotonic() - started)
        raise
    seconds = before + time.monotonic() - started
    _keep_seconds(stage, spent, seconds)
    log_figures(run.config.tracking, stage.uri, facts.get("figures", {}))
    manifest = stage.finish(seconds, **facts)
    print(f"== {name}: done in {seconds:.0f} s", flush=True)
    return manifest


def _keep_seconds(stage: Stage, spent: str, seconds: float) -> None:
    """Lets a stage that is not done go on counting its time later."""
    if not stage.done and store.exists(stage.uri):
        store.write_json(spent, seconds, lasting=False)

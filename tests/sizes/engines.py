"""Samplers and judges that take a known time for a prompt and note which node they are on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from kills.dying import Engine, Sampler

from urm_ray import schema, store
from urm_ray.config import Config
from urm_ray.pipeline import generate_pairs
from urm_ray.pipeline.actors import Judge, Sample
from urm_ray.pipeline.run import Run, execute
from urm_ray.run_folder import Stage

TASK = "image_generation"
CANDIDATES = 2
WITHOUT_TORCH = patch("urm_ray.pipeline.actors.use_threads", lambda num_cpus: None)
"""Actors stand sooner for it."""


class SleepingSampler(Sampler):
    seconds: float

    def sample(self, requests: Sequence[Any], wanted: Sequence[bool] | None = None) -> list[dict[str, Any]]:
        time.sleep(self.seconds * len(requests) / CANDIDATES)
        return super().sample(requests, wanted)


class SleepingEngine(Engine):
    """Asked once about a prompt, and once about its candidates."""

    seconds: float

    def read(self, questions: Sequence[Any]) -> list[Any]:
        time.sleep(self.seconds * sum(len(question.media) == 1 for question in questions) / CANDIDATES)
        return super().read(questions)


def _stands(folder: Path, who: str) -> None:
    """Notes an actor and the node that it is on."""
    import ray

    here = ray.get_runtime_context()
    (folder / f"{who} {here.get_node_id()} {here.get_actor_id()}").touch()


class SleepingSample(Sample):
    seconds: float
    folder_of_actors: Path

    def __init__(self, **arguments: Any) -> None:
        _stands(self.folder_of_actors, "sampler")
        sampler = SleepingSampler(self.folder_of_actors)
        sampler.seconds = self.seconds
        with WITHOUT_TORCH, patch("urm_ray.candidates.samplers.load_sampler", lambda *_: sampler):
            super().__init__(**arguments)


class SleepingJudge(Judge):
    seconds: float
    folder_of_actors: Path

    def __init__(self, **arguments: Any) -> None:
        from urm_ray.judge.protocol import protocol
        from urm_ray.judge.scorer import JudgeScorer

        _stands(self.folder_of_actors, "judge")
        engine = SleepingEngine(self.folder_of_actors)
        engine.seconds = self.seconds
        scorer = JudgeScorer(engine, protocol("unified"))
        with WITHOUT_TORCH, patch.object(JudgeScorer, "load", lambda *_, **__: scorer):
            super().__init__(**arguments)


def run_of(folder: Path, prompts: int, generate: dict[str, Any]) -> Run:
    """A run whose prompts are prepared. generate: how its stage of candidates and verdicts is run."""
    policy = {
        "path": "urm_ray.scenes:checkpoints/text_to_image",
        "sampler": {"candidates": CANDIDATES},
        "generate": generate,
    }
    settings: dict[str, Any] = {
        "run": {"dir": str(folder)},
        "tasks": [TASK],
        "judge": {"path": "urm_ray.scenes:checkpoints/vlm"},
        "policies": {TASK: policy},
    }
    run = Run(Config.model_validate(settings))
    prepared = run.stage("prepare", TASK)
    rows = [
        {"prompt_id": f"p{n:04d}", "task": TASK, "prompt": f"prompt {n}", "context": [], "source": "made"}
        for n in range(prompts)
    ]
    store.write_table(prepared.path("train_prompts", "unit-000000.parquet"), schema.table_of(rows, schema.PROMPT))
    prepared.finish(0.0)
    return run


def generated(run: Run, sampler_s: float, judge_s: float) -> Stage:
    """The finished stage. sampler_s, judge_s: that a prompt takes. Its actors are noted in `actors` of the run."""
    actors = Path(run.folder.uri) / "actors"
    actors.mkdir(exist_ok=True)
    of_both = {"folder_of_actors": actors}
    with (
        patch.object(generate_pairs, "Sample", type("Sample", (SleepingSample,), {"seconds": sampler_s, **of_both})),
        patch.object(generate_pairs, "Judge", type("Judge", (SleepingJudge,), {"seconds": judge_s, **of_both})),
    ):
        stage = run.stage("generate", TASK)
        execute(run, stage, lambda run, stage: generate_pairs.generate(run, stage, TASK))
    return stage


def nodes_of(run: Run, who: str) -> set[str]:
    """Ids of the nodes on which samplers or judges of a run have been."""
    return {file.name.split()[1] for file in (Path(run.folder.uri) / "actors").glob(f"{who} *")}

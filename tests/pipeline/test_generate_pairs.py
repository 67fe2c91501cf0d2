from pathlib import Path
from typing import Any

import pytest
from helpers import candidate_set, point_verdict

from urm_ray import schema, store
from urm_ray.config_file import build
from urm_ray.config_training import Task
from urm_ray.pipeline import generate_pairs
from urm_ray.pipeline.run import Run
from urm_ray.sources.registry import SourceError
from urm_ray.store import StoreError

TASKS: tuple[Task, ...] = ("image_generation", "video_generation")


def run_of(folder: Path, **pairs: Any) -> Run:
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text("model")
    path = {"path": str(model)}
    policies = dict.fromkeys(TASKS, path)
    run = {"dir": str(folder / "run")}
    return Run(build({"run": run, "tasks": TASKS, "judge_base": path, "policies": policies, "pairs": pairs}))


def judged(number: int, scores: tuple[float, float]) -> dict[str, Any]:
    row = candidate_set(2, prompt_id=f"p{number}")
    return row | {
        "pair_verdicts": [],
        "point_verdicts": [point_verdict(i, score) for i, score in enumerate(scores)],
        "scale": {"name": "1-5", "minimum": 1, "maximum": 5},
        "judge_digest": "j",
    }


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("different", [False, True])
def test_a_judge_that_tells_no_candidates_apart_ends_the_stage_of_every_task(tmp_path, monkeypatch, task, different):
    run = run_of(tmp_path)
    reward = run.stage("reward")
    store.write_bytes(reward.path("model", "config.json"), b"judge")
    store.write_json(reward.path("mix.json"), {"groups": []})
    reward.finish(1.0)
    prepared = run.stage("prepare", task)
    store.write_table(prepared.path("train_prompts", "unit-000000.parquet"), schema.table_of([], schema.PROMPT))
    prepared.finish(1.0)
    stage = run.stage("generate", task)

    def written(name: str, files: list[str], folder: str, *_: Any, **__: Any) -> dict[str, float]:
        rows = [judged(n, (3.0, 3.0)) for n in range(9)] + [judged(9, (3.0, 3.5 if different else 3.0))]
        store.write_table(store.join(folder, "unit-000000.parquet"), schema.table_of(rows, schema.JUDGED_SET))
        return {"Judge": 0.9}

    monkeypatch.setattr(generate_pairs, "stream_units", written)
    if different:
        done = generate_pairs.generate(run, stage, task)
        assert done == {"prompts": 10, "at_work": {"Judge": 0.9}, "quarantined": {}}
        return
    with pytest.raises(StoreError, match=r"same score \(10 prompts; always 3.0\): .*train it for longer"):
        generate_pairs.generate(run, stage, task)
    assert not stage.done


def test_without_prompts_there_is_nothing_to_make_candidates_for(tmp_path):
    run = run_of(tmp_path)
    reward = run.stage("reward")
    store.write_bytes(reward.path("model", "config.json"), b"judge")
    store.write_json(reward.path("mix.json"), {"groups": []})
    reward.finish(1.0)
    run.stage("prepare", TASKS[0]).finish(1.0)
    with pytest.raises(SourceError, match=r"no prompt to make candidates for; see prepare\.train_prompts"):
        generate_pairs.generate(run, run.stage("generate", TASKS[0]), TASKS[0])


class Operators:
    """Stands for a data set; it keeps what is mapped over it."""

    def __init__(self) -> None:
        self.mapped: list[Any] = []

    def map_batches(self, operator: Any, **_: Any) -> "Operators":
        self.mapped.append(operator)
        return self


@pytest.mark.parametrize(
    ("pairs", "judge"),
    [
        ({}, "Judge"),
        ({"ranking": "none", "construction": "point"}, "Judge"),
        ({"ranking": "none", "construction": "random"}, "Judge"),
        ({"ranking": "none", "construction": "random", "points": False}, "AskNothing"),
    ],
)
def test_no_judge_is_loaded_where_nothing_is_asked(tmp_path, monkeypatch, pairs, judge):
    run, found = run_of(tmp_path, **pairs), Operators()
    reward = run.stage("reward")
    store.write_bytes(reward.path("model", "config.json"), b"judge")
    store.write_json(reward.path("mix.json"), {"groups": []})
    reward.finish(1.0)
    prepared = run.stage("prepare", TASKS[0])
    store.write_table(prepared.path("train_prompts", "unit-000000.parquet"), schema.table_of([], schema.PROMPT))
    prepared.finish(1.0)

    def written(name: str, files: list[str], folder: str, *arguments: Any, **_: Any) -> dict[str, float]:
        arguments[-1](found, None)
        unscored = [judged(n, (3.0, 4.0)) | {"point_verdicts": [], "scale": None} for n in range(9)]
        store.write_table(store.join(folder, "unit-000000.parquet"), schema.table_of(unscored, schema.JUDGED_SET))
        return {}

    monkeypatch.setattr(generate_pairs, "stream_units", written)
    assert generate_pairs.generate(run, run.stage("generate", TASKS[0]), TASKS[0])["prompts"] == 9
    names = [one.__name__ if isinstance(one, type) else type(one).__name__ for one in found.mapped]
    assert names == ["Sample", judge]

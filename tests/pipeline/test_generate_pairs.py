from pathlib import Path
from typing import Any

import pytest
from helpers import candidate_set, point_verdict

from urm_ray import schema, store
from urm_ray.config import Task
from urm_ray.config_file import build
from urm_ray.pipeline import generate_pairs
from urm_ray.pipeline.run import Run
from urm_ray.store import StoreError

TASKS: tuple[Task, ...] = ("image_generation", "video_generation")


def run_of(folder: Path) -> Run:
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text("model")
    path = {"path": str(model)}
    policies = dict.fromkeys(TASKS, path)
    return Run(build({"run": {"dir": str(folder / "run")}, "tasks": TASKS, "judge_base": path, "policies": policies}))


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
    reward.finish(1.0)
    run.stage("prepare", task).finish(1.0)
    stage = run.stage("generate", task)

    def written(name: str, files: list[str], folder: str, *_: Any, **__: Any) -> None:
        rows = [judged(n, (3.0, 3.0)) for n in range(9)] + [judged(9, (3.0, 3.5 if different else 3.0))]
        store.write_table(store.join(folder, "unit-000000.parquet"), schema.table_of(rows, schema.JUDGED_SET))

    monkeypatch.setattr(generate_pairs, "stream_units", written)
    if different:
        assert generate_pairs.generate(run, stage, task) == {"prompts": 10}
        return
    with pytest.raises(StoreError, match=r"same score \(10 prompts; always 3.0\): .*train it for longer"):
        generate_pairs.generate(run, stage, task)
    assert not stage.done

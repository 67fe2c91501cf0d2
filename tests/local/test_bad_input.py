"""What people get wrong gives one clear sentence and a non-zero exit, or costs one row."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from local.smoke import TASK, job

from urm_ray import schema, store
from urm_ray.scenes.preferences import Scenes

pytestmark = pytest.mark.local


def refused(done: object, *words: str) -> None:
    assert done.returncode == 1  # type: ignore[attr-defined]
    stderr = done.stderr  # type: ignore[attr-defined]
    assert "Traceback" not in stderr
    last = [line for line in stderr.splitlines() if line.startswith("error")]
    assert len(last) == 1, stderr
    for word in words:
        assert word in last[0]


def test_missing_checkpoint(tmp_path: Path) -> None:
    setting = "policies.image_generation.path=/nowhere/model"
    refused(job("pipeline", tmp_path / "run", "--set", setting), "/nowhere/model")


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    refused(job("pipeline", tmp_path / "run", "--set", "reward.step=3"), "reward.step", "did you mean reward.steps?")


def test_no_free_space_names_the_folder(tmp_path: Path) -> None:
    done = job("prepare_data", tmp_path / "run", "--set", "run.min_free_mib=999999999")
    refused(done, "no free space", str(tmp_path / "run"))


def test_empty_prompt_file(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n  \n")
    done = job(
        "prepare_data", tmp_path / "run", "--set", "prepare.prompts=jsonl", "--set", f"prepare.prompts_path={prompts}"
    )
    refused(done, str(prompts), "holds no prompts")


def test_bad_rows_cost_themselves_alone(tmp_path: Path) -> None:
    """A prompt file with a broken line, and preferences with a picture that does not decode, in one preparation."""
    prompts = tmp_path / "prompts.jsonl"
    good = [json.dumps({"prompt": f"a red circle number {n}"}) for n in range(12)]
    prompts.write_text("\n".join([*good[:5], '{"prompt": "half a li', *good[5:]]))
    scenes = Scenes(None, 0, "image_generation", {})
    rows = [*scenes.read("train_pairs", 0, 12), *scenes.read("train_points", 0, 12)]
    rows = [r for r in rows if isinstance(r, dict)]
    rows[3]["candidates"][1]["media"]["data"] = rows[3]["candidates"][1]["media"]["data"][:60]
    store.write_table(str(tmp_path / "preferences" / "rows.parquet"), schema.table_of(rows, schema.PREFERENCE))
    settings = {
        "prompts": "jsonl",
        "prompts_path": prompts,
        "preferences": "parquet",
        "preferences_path": tmp_path / "preferences",
        "train_prompts": 9,
        "heldout_prompts": 4,
        "heldout_pairs": 4,
        "heldout_points": 4,
        "train_pairs": 8,
        "train_points": 8,
    }
    given = [f"tasks=[{TASK}]", *(f"prepare.{key}={value}" for key, value in settings.items())]
    done = job("prepare_data", tmp_path / "run", *[word for setting in given for word in ("--set", setting)])
    assert done.returncode == 0, done.stderr[-2000:]
    folder = next((tmp_path / "run").glob("prepare-*"))
    quarantine = [row for file in folder.rglob("quarantine/*/*.parquet") for row in pq.read_table(file).to_pylist()]
    assert {row["reason"] for row in quarantine} == {"not JSON", "undecodable picture"}
    assert {row["row_id"] for row in quarantine} == {"prompts.jsonl:6", rows[3]["preference_id"]}
    counts = json.loads((folder / "manifest.json").read_text())["rows"]
    assert counts["train_prompts"] + counts["heldout_prompts"] == 12
    assert counts["train_pairs"] + counts["heldout_pairs"] == 11
    assert counts["train_points"] + counts["heldout_points"] == 12

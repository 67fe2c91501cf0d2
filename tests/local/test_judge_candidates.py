"""Pictures of one's own, judged and ranked by a judge that is there already."""

import csv
from pathlib import Path

import pytest
import yaml
from helpers import picture, run_python

pytestmark = pytest.mark.local


def test_own_pictures_are_scored_and_ranked(tmp_path: Path, vlm_path: str) -> None:
    names = []
    for shade in (10, 120, 240):
        names.append(f"{shade}.jpg")
        picture(shade).resize((40, 30)).save(tmp_path / names[-1])
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    mine = tmp_path / "mine.csv"
    lines = [f"a red circle,{name}" for name in [*names, "broken.jpg"]] + [f"two cats,{names[0]}"]
    mine.write_text("\n".join(["prompt,candidate", *lines]))
    settings = {
        "run": {"dir": str(tmp_path / "run")},
        "tasks": ["image_generation"],
        "prepare": {"prompts_path": str(mine), "heldout_prompts": 0, "cpus": 0.5},
        "judge": {"path": vlm_path, "min_mass": 0.0},
        "pairs": {"ranking": "all"},
        "policies": {
            "image_generation": {
                "candidates_path": str(mine),
                "generate": {"judge_pool": {"num_cpus": 0.8}},
            }
        },
    }
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump(settings))
    done = run_python("jobs/judge_candidates.py", "--config", str(config))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (table,) = tmp_path.glob("run/generate-*/standings.csv")
    assert str(table) in done.stdout
    rows = {(row["prompt"], row["name"]): row for row in csv.DictReader(table.open())}
    ranked = [rows["a red circle", name] for name in names]
    assert sorted(row["place"] for row in ranked)[0] == "1"
    assert all(1 <= float(row["score"]) <= 5 for row in ranked)
    assert sum(int(row["wins"]) for row in ranked) == sum(int(row["losses"]) for row in ranked)
    broken = next(row for row in rows.values() if row["error"])
    assert "broken.jpg" in broken["error"]
    assert broken["place"] == broken["score"] == ""
    assert rows["two cats", names[0]]["place"] == "1"

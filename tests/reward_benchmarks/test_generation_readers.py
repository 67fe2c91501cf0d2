"""Items of benchmarks of generation in their published formats; broken records cost themselves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from reward_benchmarks.asking import agrees, ask_all, label, shade
from reward_benchmarks.native_generation import (
    videogen_row,
    write_genai_clips,
    write_genai_edits,
    write_genai_images,
    write_videogen,
)
from sources.native import write

from urm_ray.reward_benchmarks.registry import benchmark
from urm_ray.sources.registry import SourceError


@pytest.mark.parametrize("name", ["genai_bench_image", "genai_bench_image_v1"])
def test_genai_bench_tells_ties_apart_and_has_two_splits(tmp_path: Path, name: str):
    write_genai_images(tmp_path, "test_v1" if name.endswith("v1") else "test")
    rows, aside, _ = ask_all(name, tmp_path)
    assert [label(r)["overall"] for r in rows] == ["first", "second", "tie_good", "tie_bad"]
    assert [[v["outcome"] for v in r["pair_verdicts"]] for r in rows] == [
        ["first", "second"],
        ["second", "first"],
        ["tie", "tie"],
        ["tie", "tie"],
    ]
    assert [reason for _, reason in aside] == ["unknown vote", "no left_image", "undecodable picture", "empty prompt"]
    other = "genai_bench_image" if name.endswith("v1") else "genai_bench_image_v1"
    with pytest.raises(SourceError, match="holds no"):
        ask_all(other, tmp_path)


def test_an_edit_is_shown_with_what_it_was_made_of(tmp_path: Path):
    write_genai_edits(tmp_path)
    rows, aside, engine = ask_all("genai_bench_edit", tmp_path)
    assert [[shade(seen) for seen in q.media] for q in engine.asked] == [[3, 5, 9], [3, 9, 5]]
    assert any("add sheep" in part.get("text", "") for part in engine.asked[0].messages[0]["content"])
    assert agrees(rows[0])
    assert [reason for _, reason in aside] == ["no source_image"]


@pytest.mark.parametrize("packed", [False, True])
def test_clips_are_found_by_the_name_in_their_address(tmp_path: Path, packed: bool):
    write_genai_clips(tmp_path, packed)
    rows, aside, engine = ask_all("genai_bench_video", tmp_path)
    assert [label(r)["overall"] for r in rows] == ["first", "tie_bad"]
    assert [[shade(seen) for seen in q.media] for q in engine.asked] == [[5, 9], [9, 5], [9, 5], [5, 9]]
    assert len({r["cluster"] for r in rows}) == 1  # both are of one prompt
    assert [reason for _, reason in aside] == ["missing clip"]


def test_the_json_copy_of_the_clips_is_read_too(tmp_path: Path):
    write_genai_clips(tmp_path)
    (tmp_path / "video_generation/test-00000-of-00001.parquet").unlink()
    rows = [{"id": 0, "prompt": "a bear", "video_left": "c9.mp4", "video_right": "c5.mp4", "vote_type": "rightvote"}]
    write(tmp_path / "data.json", json.dumps(rows))
    found, aside, _ = ask_all("genai_bench_video", tmp_path)
    assert agrees(found[0])
    assert aside == []


def test_videogen_rewardbench_has_labels_in_four_dimensions(tmp_path: Path):
    write_videogen(tmp_path)
    rows, aside, _ = ask_all("videogen_rewardbench", tmp_path)
    assert [(r["item_id"].rpartition(":")[2], label(r)) for r in rows] == [
        ("1", {"overall": "first", "VQ": "first", "MQ": "second", "TA": "tie"}),
        ("3", {"overall": "second", "VQ": "second", "MQ": "second", "TA": "second"}),
        ("4", {"overall": "first", "VQ": "first", "TA": "first"}),
        ("2", {"overall": "tie", "VQ": "first", "MQ": "first", "TA": "first"}),
    ]
    assert [agrees(r) for r in rows[:3]] == [True, True, True]
    assert dict(aside) == {
        "videogen-rewardbench.csv:5": "Overall is not A, B or same",
        "videogen-rewardbench.csv:6": "empty prompt",
        "videogen-rewardbench.csv:7": "no Overall",
        "videogen-rewardbench.csv:8": "missing clip",
        "videogen-rewardbench.csv:9": "wrong number of cells",
    }


def test_all_pairs_of_a_prompt_are_in_one_unit_whose_clips_are_scored_once(tmp_path: Path):
    prompts = [f"prompt {n}" for n in range(4)]
    pairs = [(a, b) for a in (5, 7, 9) for b in (5, 7, 9) if a < b]
    write_videogen(tmp_path, [videogen_row(a, b, p, ["A"] * 4) for a, b in pairs for p in prompts])
    kind = benchmark("videogen_rewardbench")
    units = list(kind(str(tmp_path)).units(4))
    of_prompts = [{item.prompt for item in kind(str(tmp_path)).items(unit)} for unit in units]
    assert [len(found) for found in of_prompts] == [1, 1, 1, 1]
    _, _, engine = ask_all("videogen_rewardbench", tmp_path, 4, kind.dimensions)
    pair_questions = [q for q in engine.asked if len(q.answers) == 3]
    assert len(pair_questions) == 2 * 12
    assert len(engine.asked) - len(pair_questions) == 4 * 3 * 4  # prompts, clips of each, dimensions

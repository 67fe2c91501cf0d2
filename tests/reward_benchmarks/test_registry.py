"""What all readers of benchmarks have in common, and how a benchmark is named and found."""

from __future__ import annotations

from pathlib import Path

import pytest
from reward_benchmarks.asking import ask_all
from reward_benchmarks.native_answers import (
    write_mmrb2,
    write_multimodal_rewardbench,
    write_sharegptvideo,
    write_vl_rewardbench,
)
from reward_benchmarks.native_generation import write_genai_clips, write_genai_edits, write_genai_images, write_videogen
from sources.native import grey, write

from urm_ray import schema
from urm_ray.reward_benchmarks.registry import BENCHMARKS, benchmark, data_digest, locate
from urm_ray.sources.registry import SourceError

WRITERS = {
    "vl_rewardbench": write_vl_rewardbench,
    "genai_bench_image": write_genai_images,
    "genai_bench_edit": write_genai_edits,
    "genai_bench_video": write_genai_clips,
    "videogen_rewardbench": write_videogen,
    "multimodal_rewardbench": write_multimodal_rewardbench,
    "mmrb2": write_mmrb2,
    "sharegptvideo": write_sharegptvideo,
}


@pytest.mark.parametrize("name", WRITERS)
def test_predictions_are_the_same_however_the_work_is_cut(tmp_path: Path, name: str):
    WRITERS[name](tmp_path)
    dimensions = benchmark(name).dimensions
    results = [ask_all(name, tmp_path, rows, dimensions)[:2] for rows in (1, 1000)]
    tables = [schema.table_of(sorted(rows, key=lambda row: row["item_id"]), schema.PREDICTION) for rows, _ in results]
    assert tables[0].equals(tables[1])
    assert sorted(results[0][1]) == sorted(results[1][1])
    assert len({row["item_id"] for row in results[0][0]}) == len(results[0][0])


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name not in ("preferences", "sharegptvideo")])
def test_a_folder_of_something_else_is_refused(tmp_path: Path, name: str):
    write(tmp_path / "picture.jpg", grey(5))
    with pytest.raises(SourceError, match="holds no"):
        benchmark(name)(str(tmp_path))


def test_a_benchmark_is_named_or_a_class_of_its_own():
    assert benchmark("urm_ray.reward_benchmarks.mmrb2:MMRB2") is benchmark("mmrb2")
    with pytest.raises(SourceError, match="no benchmark 'vlrb'; there are vl_rewardbench"):
        benchmark("vlrb")
    with pytest.raises(SourceError, match="is no benchmark"):
        benchmark("urm_ray.run_folder:RunFolder")


def test_a_benchmark_without_a_name_on_the_hub_needs_a_folder():
    with pytest.raises(SourceError, match="as NAME=FOLDER"):
        locate(benchmark("preferences"), "")


def test_clips_that_are_elsewhere_on_the_hub_come_from_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("urm_ray.reward_benchmarks.registry.local_path", lambda name: f"/hub/{name}")
    clips, answers = benchmark("genai_bench_video"), benchmark("vl_rewardbench")
    bench, media = "/hub/TIGER-Lab/GenAI-Bench", "/hub/tianleliphoebe/genai-arena-video-mp4"
    assert locate(clips, "") == (bench, media)
    assert locate(clips, "someone/GenAI-Bench") == ("/hub/someone/GenAI-Bench", media)
    assert locate(clips, str(tmp_path)) == (f"/hub/{tmp_path}",) * 2
    assert locate(answers, "") == ("/hub/MMInstruction/VL-RewardBench",) * 2


def test_a_place_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(SourceError, match="there is no file or folder"):
        locate(benchmark("mmrb2"), str(tmp_path / "nowhere"))


def test_the_digest_of_data_knows_records_by_content_and_media_by_size(tmp_path: Path):
    write(tmp_path / "a.json", "[1]")
    write(tmp_path / "b.jpg", b"123")
    before = data_digest(str(tmp_path))
    assert data_digest(str(tmp_path), str(tmp_path)) == before
    write(tmp_path / "a.json", "[2]")
    changed = data_digest(str(tmp_path))
    write(tmp_path / "b.jpg", b"1234")
    assert len({before, changed, data_digest(str(tmp_path))}) == 3

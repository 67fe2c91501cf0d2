"""Judges on benchmarks without Ray: what is asked once, what is written, and what can be measured without a model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from helpers import pair_preference
from reward_benchmarks.asking import Engine, words_of
from reward_benchmarks.native_answers import write_mmrb2, write_vl_rewardbench
from reward_benchmarks.native_generation import write_genai_images, write_videogen

from urm_ray import schema, store
from urm_ray.config_benchmarks import BenchmarkConfig
from urm_ray.config_file import ConfigError, build_as
from urm_ray.judge.engine import Question, Reading
from urm_ray.judge.protocol import ProtocolError, protocol
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.pipeline import evaluate_benchmarks as module
from urm_ray.pipeline.evaluate_benchmarks import evaluate_benchmarks, plan_benchmarks, write_results
from urm_ray.pipeline.ledger import Ledger
from urm_ray.reward_benchmarks.comparison import Measuring
from urm_ray.run_folder import RunFolder
from urm_ray.sources.registry import SourceError
from urm_ray.store import StoreError

TABLES = ("results.md", "results.tex", "categories.md")


@dataclass
class Workers:
    """Ray Data in this process. units: those that were done; fails_at: how many of them until a worker dies."""

    units: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    fails_at: int | None = None
    engine: type[Engine] = Engine

    def from_items(self, items: list[dict[str, Any]], override_num_blocks: int) -> Any:
        def map_batches(work: type, **_: Any) -> Any:
            actor = work()

            def rows() -> Any:
                for item in items:
                    if len(self.units) == self.fails_at:
                        raise RuntimeError("the worker died")
                    self.units.append(item["errand"])
                    yield from actor(pa.Table.from_pylist([item])).to_pylist()

            return SimpleNamespace(iter_rows=rows)

        return SimpleNamespace(map_batches=map_batches)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    found = Workers()

    def load(path: str, config: Any) -> JudgeScorer:
        found.loaded.append(Path(path).name)
        return JudgeScorer(found.engine(), protocol(config.protocol), config.min_mass, config.clips)

    monkeypatch.setattr(JudgeScorer, "load", load)
    monkeypatch.setattr(module, "ray", SimpleNamespace(data=found))
    monkeypatch.setattr(module, "connect", lambda: None)
    monkeypatch.setattr(module, "need_pools", lambda *_: None)
    monkeypatch.setattr(module, "SharedLedger", Ledger)
    return found


class Failing(Engine):
    """Fails at whatever it is asked together with a question about one item."""

    def read(self, questions: Sequence[Question]) -> list[Reading]:
        if any("what is in mathverse_2279?" in words_of(question) for question in questions):
            raise ValueError("no answer")
        return super().read(questions)


def judge_at(folder: Path, name: str) -> str:
    (folder / name).mkdir(parents=True)
    (folder / name / "config.json").write_text(name)
    return str(folder / name)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    write_vl_rewardbench(tmp_path / "vl")
    write_videogen(tmp_path / "vg")
    return {
        "judges": {"ours": judge_at(tmp_path, "a")},
        "benchmarks": {"vl_rewardbench": str(tmp_path / "vl"), "videogen_rewardbench": str(tmp_path / "vg")},
        "judge": {"resamples": 100},
        "unit_rows": 3,
    }


def run(config: dict[str, Any], out: Path) -> list[dict[str, Any]]:
    return evaluate_benchmarks(build_as(BenchmarkConfig, config), RunFolder.open(str(out)))


def contents(out: Path) -> dict[str, bytes]:
    """All that was written but for when."""
    return {
        str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "manifest.json"
    }


def test_all_judges_are_asked_about_all_benchmarks_and_load_once(config, workers, tmp_path: Path):
    config["judges"]["theirs"] = judge_at(tmp_path, "b")
    results = run(config, tmp_path / "out")
    assert [(r["judge"], r["benchmark"]) for r in results] == [
        ("ours", "videogen_rewardbench"),
        ("ours", "vl_rewardbench"),
        ("theirs", "videogen_rewardbench"),
        ("theirs", "vl_rewardbench"),
    ]
    assert workers.loaded == ["a", "b"]
    vl = results[1]
    assert vl["items"] == {
        "asked": 10,
        "skipped": {},
        "put_aside": {
            "unknown group": 1,
            "no image": 1,
            "not two answers and their ranks": 2,
            "undecodable picture": 1,
        },
    }
    assert {c["name"]: c["value"] for c in vl["columns"]}["Overall"] == 1.0
    assert {c["name"]: c["value"] for c in results[0]["columns"]}["Scores, diff"] == 1.0
    saved = json.loads((tmp_path / "out/results.json").read_text())
    assert saved == {"measuring": {"seed": 0, "resamples": 100, "judgements": 9}, "results": results}
    for name in TABLES:
        assert "ours" in (tmp_path / "out" / name).read_text()


def test_a_second_call_asks_nothing(config, workers, tmp_path: Path):
    run(config, tmp_path / "out")
    done = list(workers.units)
    before = contents(tmp_path / "out")
    run(config, tmp_path / "out")
    assert workers.units == done
    assert workers.loaded == ["a"]
    assert contents(tmp_path / "out") == before


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_bytes(config, workers, tmp_path: Path):
    run(config, tmp_path / "whole")
    units = len(workers.units)
    workers.units.clear()
    workers.fails_at = 3
    with pytest.raises(RuntimeError, match="the worker died"):
        run(config, tmp_path / "stopped")
    assert not (tmp_path / "stopped/results.json").exists()
    workers.fails_at = None
    run(config, tmp_path / "stopped")
    assert len(workers.units) == units
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def predictions(out: Path) -> dict[str, dict[str, Any]]:
    files = sorted(out.glob("*/predictions/*.parquet"))
    return {row["item_id"]: row for file in files for row in store.read_table(str(file)).to_pylist()}


def test_an_item_that_the_judge_fails_at_counts_as_wrong_and_costs_no_other(config, workers, tmp_path: Path):
    whole = run(config, tmp_path / "whole")[1]
    workers.engine = Failing
    found = run(config, tmp_path / "failing")[1]
    good, rows = predictions(tmp_path / "whole"), predictions(tmp_path / "failing")
    assert rows.keys() == good.keys()
    reason = "judging failed 2 times, at last because ValueError: no answer"
    for name, row in rows.items():
        if name.startswith("mathverse_2279:"):
            assert [(v["outcome"], v["reason"]) for v in row["pair_verdicts"]] == [("unparsed", reason)] * 2
            assert [(v["first"], v["second"]) for v in row["pair_verdicts"]] == [(0, 1), (1, 0)]
        else:
            assert row == good[name]
    shown = [{c["name"]: c["value"] for c in result["columns"]} for result in (whole, found)]
    assert shown[1]["Overall"] < shown[0]["Overall"]
    assert found["items"] == whole["items"]


def test_a_judge_that_fails_at_too_many_items_is_stopped(config, workers, tmp_path: Path):
    class Nothing(Engine):
        def read(self, questions: Sequence[Question]) -> list[Reading]:
            raise ValueError("no answer")

    workers.engine = Nothing
    with pytest.raises(StoreError, match=r"ours: 11 of \d+ rows .* put_aside_share allows \(0.05\); .* no answer"):
        run(config, tmp_path / "out")
    assert not (tmp_path / "out/results.json").exists()


def test_figures_are_taken_again_without_a_judge_or_its_data(config, workers, tmp_path: Path):
    results = run(config, tmp_path / "out")
    for folder in ("a", "vl", "vg"):
        shutil.rmtree(tmp_path / folder)
    before = contents(tmp_path / "out")
    folder = RunFolder.open(str(tmp_path / "out"))
    assert write_results(folder, Measuring(0, 100)) == results
    assert contents(tmp_path / "out") == before
    other = write_results(folder, Measuring(seed=1, resamples=200, judgements=1))
    assert other[1]["figures"]["majority"]["judgements"] == 1
    assert other[1]["figures"]["tau"]["value"] == results[1]["figures"]["tau"]["value"]


def test_a_folder_without_predictions_has_no_figures(tmp_path: Path):
    with pytest.raises(StoreError, match="holds no predictions"):
        write_results(RunFolder.open(str(tmp_path / "empty")), Measuring())


@pytest.mark.parametrize(
    "change",
    [
        {"judge": {"resamples": 100, "dtype": "bfloat16"}},
        {"judge": {"resamples": 100, "clips": {"count": 2}}},
        {"points": False},
        {"limit": 4},
    ],
)
def test_other_settings_are_asked_anew_and_the_last_ones_are_shown(config, workers, tmp_path: Path, change):
    run(config, tmp_path / "out")
    units = len(workers.units)
    results = run(config | change, tmp_path / "out")
    assert len(workers.units) > units
    assert len(results) == 2
    assert {r["settings"]["dtype"] for r in results} == {change.get("judge", {}).get("dtype", "float32")}
    assert {r["limit"] for r in results} == {change.get("limit")}


@pytest.mark.parametrize(
    "change", [{"seed": 3}, {"judge": {"actors": {"actors": 3}, "resamples": 200}}, {"judgements": 3}]
)
def test_what_changes_no_answer_asks_nothing_anew(config, workers, tmp_path: Path, change):
    run(config, tmp_path / "out")
    units = len(workers.units)
    run(config | change, tmp_path / "out")
    assert len(workers.units) == units


def test_other_data_or_another_judge_in_the_same_place_is_asked_anew(config, workers, tmp_path: Path):
    run(config, tmp_path / "out")
    (tmp_path / "a/config.json").write_text("changed")
    assert len(run(config, tmp_path / "out")) == 2
    assert workers.loaded == ["a", "a"]
    (tmp_path / "vl/data/test-00000-of-00001.parquet").unlink()
    write_genai_images(tmp_path / "vl")
    with pytest.raises(SourceError, match="lacks the columns id, query"):
        run(config, tmp_path / "out")


def test_a_limit_takes_parts_that_a_hash_draws(config, workers, tmp_path: Path):
    limited = {r["benchmark"]: r for r in run(config | {"limit": 4}, tmp_path / "out")}
    vl = limited["vl_rewardbench"]
    assert vl["items"]["asked"] + sum(vl["items"]["put_aside"].values()) == 4
    assert vl["complete"] is False
    again = run(config | {"limit": 4}, tmp_path / "again")
    assert [r["items"] for r in again] == [limited[r["benchmark"]]["items"] for r in again]
    every = run(config | {"limit": 10_000}, tmp_path / "every")
    assert [sum(r["items"]["put_aside"].values()) + r["items"]["asked"] for r in every] == [9, 15]


def test_scores_can_be_asked_of_any_benchmark_and_left_out_of_all(config, workers, tmp_path: Path):
    write_genai_images(tmp_path / "gi")
    config["benchmarks"]["genai_bench_image"] = str(tmp_path / "gi")
    with_points = {r["benchmark"]: r for r in run(config | {"points": True}, tmp_path / "with")}
    assert with_points["genai_bench_image"]["figures"]["scores"]["overall"]["diff"]["value"] == 1.0
    without = run(config | {"points": False}, tmp_path / "without")
    assert {tuple(r["figures"]["scores"]) for r in without} == {()}


def test_mmrb2_is_measured_from_its_files(workers, tmp_path: Path):
    write_mmrb2(tmp_path / "mm")
    config = {"judges": {"a": judge_at(tmp_path, "a")}, "benchmarks": {"mmrb2": str(tmp_path / "mm")}}
    found = run(config | {"judge": {"resamples": 100}}, tmp_path / "out")[0]
    shown = {c["name"]: c["value"] for c in found["columns"]}
    assert (shown["Text to image"], shown["Reasoning"]) == (1.0, 1.0)
    assert found["items"]["asked"] == 7


def test_several_folders_of_one_benchmark_have_a_table_each(workers, tmp_path: Path):
    for number in (1, 2):
        rows = [pair_preference(n, "first") for n in range(number)]
        store.write_table(str(tmp_path / f"p{number}" / "rows.parquet"), schema.table_of(rows, schema.PREFERENCE))
    named = {f"preferences@part{number}": str(tmp_path / f"p{number}") for number in (1, 2)}
    found = run({"judges": {"a": judge_at(tmp_path, "a")}, "benchmarks": named}, tmp_path / "out")
    assert [(r["title"], r["items"]["asked"]) for r in found] == [
        ("Held-out pairs, part1", 1),
        ("Held-out pairs, part2", 2),
    ]
    assert {p.name.rpartition("-")[0] for p in (tmp_path / "out").iterdir() if p.is_dir()} == {
        "a-preferences-part1",
        "a-preferences-part2",
    }


def test_the_plan_says_what_is_done(config, workers, tmp_path: Path):
    settings, folder = build_as(BenchmarkConfig, config), RunFolder.open(str(tmp_path / "out"))
    assert [line.split()[1:3] for line in plan_benchmarks(settings, folder)] == [["to", "do"]] * 2
    run(config, tmp_path / "out")
    assert [line.split()[1] for line in plan_benchmarks(settings, folder)] == ["done"] * 2
    assert not workers.loaded[1:]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"benchmarks": {"vlrb": "x"}}, SourceError, "no benchmark 'vlrb'"),
        ({"benchmarks": {"mmrb2": "/nowhere"}}, SourceError, "there is no file or folder"),
        ({"benchmarks": {"mmrb2": "."}}, SourceError, "holds no"),
        ({"judges": {"ours": "/nowhere/model"}}, StoreError, "there is no checkpoint"),
        ({"judge": {"protocol": "nonsense"}}, ProtocolError, "nonsense"),
        ({"judge": {"protocol": "unifiedreward_think"}}, ProtocolError, "decoded"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is(config, workers, tmp_path: Path, change, error, said):
    if change.get("benchmarks") == {"mmrb2": "."}:
        change = {"benchmarks": {"mmrb2": str(tmp_path / "vl")}}
    with pytest.raises(error, match=said):
        run(config | change, tmp_path / "out")
    assert not workers.units


@pytest.mark.parametrize("change", [{"judges": {}}, {"benchmarks": {}}, {"limit": 0}, {"judge": {"readout": "mind"}}])
def test_settings_that_make_no_sense_are_refused(config, change):
    with pytest.raises(ConfigError):
        build_as(BenchmarkConfig, config | change)


def test_stages_of_other_kinds_are_passed_over(config, workers, tmp_path: Path):
    folder = RunFolder.open(str(tmp_path / "out"))
    folder.stage("reward", "0" * 32).finish(1.0)
    store.write_json(store.join(folder.uri, "judge-unfinished-1", "x.json"), {})
    assert len(run(config, tmp_path / "out")) == 2

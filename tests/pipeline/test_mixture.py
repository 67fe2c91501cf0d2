import itertools
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from urm_ray import store
from urm_ray.config_file import build
from urm_ray.pipeline.mixture import interleave, mixture, repeated, repeats
from urm_ray.pipeline.run import Run

TASKS = ("image_generation", "image_understanding", "video_generation", "video_understanding")
WEIGHTS = st.dictionaries(st.sampled_from(TASKS), st.floats(0.1, 10.0))
COUNTS = st.dictionaries(st.sampled_from(TASKS), st.integers(1, 5000), min_size=1)


def run_with(folder: Path, rows: dict[str, tuple[int, int]], weights: dict[str, float]) -> Run:
    """A run whose tasks have so many training pairs and points, in files of 10."""
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text("base")
    run = Run(
        build(
            {
                "run": {"dir": str(folder / "run")},
                "tasks": list(rows),
                "judge_base": {"path": str(folder / "base")},
                "policies": {task: {"path": str(folder / "base")} for task in rows},
                "reward": {"task_weights": weights},
            }
        )
    )
    for task, counts in rows.items():
        stage = run.stage("prepare", task)  # type: ignore[arg-type]
        for part, count in zip(("train_pairs", "train_points"), counts, strict=True):
            for unit in range(count // 10):
                store.write_table(stage.path(part, f"unit-{unit:06d}.parquet"), pa.table({"n": list(range(10))}))
        stage.finish(0.0)
    return run


def test_a_small_task_is_repeated_until_it_has_its_share():
    assert repeats({"image_generation": 9000, "video_generation": 1000}, {}) == {
        "image_generation": 1,
        "video_generation": 9,
    }
    weighted = repeats({"image_generation": 1000, "video_generation": 1000}, {"video_generation": 3.0})
    assert weighted == {"image_generation": 1, "video_generation": 3}


@given(COUNTS, WEIGHTS)
def test_shares_are_the_weights_and_no_row_is_left_out(examples, weights):
    times = repeats(examples, weights)
    assert min(times.values()) == 1
    shares = [examples[task] * times[task] / weights.get(task, 1.0) for task in examples]
    assert max(shares) <= min(shares) * (1 + 1e-9)


def test_a_task_without_rows_has_no_part():
    assert repeats({"image_generation": 5, "video_generation": 0}, {}) == {"image_generation": 1}


def test_files_are_repeated_to_the_nearest_whole_file():
    assert repeated(["a", "b", "c"], 1.0) == ["a", "b", "c"]
    assert repeated(["a", "b", "c"], 2.4) == ["a", "b", "c", "a", "b", "c", "a"]


def test_a_pass_holds_both_kinds_of_every_task_by_weight(tmp_path):
    run = run_with(tmp_path, {"image_generation": (40, 20), "video_generation": (10, 0)}, {"video_generation": 0.6})
    mix = mixture(run)
    assert mix.examples == {"image_generation": 100, "video_generation": 60}
    assert len(mix.files) == 4 + 2 + 3
    assert len(set(mix.files)) == 7
    for start in range(len(mix.files) - 4):
        near = " ".join(mix.files[start : start + 5])
        assert all(kind in near for kind in ("train_pairs", "train_points", "video_generation")), near


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5))
def test_every_stretch_holds_every_kind(sizes):
    groups = [[f"{g}-{i:02d}" for i in range(size)] for g, size in enumerate(sizes)]
    order = interleave(groups)
    assert sorted(order) == sorted(file for group in groups for file in group)
    for g, group in enumerate(groups):
        own = [i for i, file in enumerate(order) if file.startswith(f"{g}-")]
        assert [order[i] for i in own] == group
        # Never further apart than an even spread asks, give or take a file of each group.
        for a, b in itertools.pairwise(own):
            assert b - a <= len(order) / len(group) + len(groups)

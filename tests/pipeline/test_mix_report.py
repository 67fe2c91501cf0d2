from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from helpers import pair_preference, point_preference
from hypothesis import given
from hypothesis import strategies as st

from urm_ray import schema, store
from urm_ray.pipeline.mix_report import mix_lines, mix_report, point_scales

LIGHT = pa.schema([field for field in schema.PREFERENCE if field.name not in ("context", "candidates")])
GRADES = {"name": "bad-normal-good", "minimum": 1, "maximum": 3}


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    """A file of preferences that lacks their media, which nobody may ask for."""
    path = str(folder / f"{name}.parquet")
    store.write_table(path, schema.table_of(rows, LIGHT))
    return path


def pairs(count: int, ties: int = 0, **changes: Any) -> list[dict[str, Any]]:
    return [pair_preference(i, "tie" if i < ties else "first", **changes) for i in range(count)]


def points(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [point_preference(i, **changes) for i in range(count)]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    video = {"task": "video_generation", "source": "lift"}
    return {
        "pairs": written(tmp_path, "pairs", [*pairs(6, ties=2), *pairs(2, source="hpd")]),
        "points": written(tmp_path, "points", points(10, dimension="overall")),
        "grades": written(
            tmp_path,
            "grades",
            [
                *points(3, **video, scale=GRADES, dimension="motion", rationale="It jumps."),
                *points(1, **video, scale=GRADES, dimension="motion", rationale=""),
                *points(2, **video, scale=GRADES, dimension="fidelity"),
            ],
        ),
    }


def test_every_kind_of_row_is_counted(files: dict[str, str]) -> None:
    mix = mix_report([files["pairs"], files["points"]], {})
    assert mix["examples"] == 2 * 8 + 10
    group = {"task": "image_generation", "kind": "pair", "scale": None, "dimension": None, "rationales": 0}
    assert mix["groups"] == [
        group | {"source": "hpd", "rows": 2, "examples": 4, "share": pytest.approx(4 / 26, abs=1e-6), "ties": 0},
        group | {"source": "test", "rows": 6, "examples": 12, "share": pytest.approx(12 / 26, abs=1e-6), "ties": 2},
        group
        | {"kind": "point", "source": "test", "scale": "1-5", "dimension": "overall", "rows": 10, "examples": 10}
        | {"share": pytest.approx(10 / 26, abs=1e-6), "ties": 0},
    ]


def test_a_repeated_file_has_more_examples_but_no_more_rows(files: dict[str, str]) -> None:
    mix = mix_report([files["grades"], files["points"], files["grades"], files["grades"]], {})
    motion, fidelity = ({g["dimension"]: g for g in mix["groups"]}[name] for name in ("motion", "fidelity"))
    assert (motion["rows"], motion["examples"], motion["rationales"]) == (4, 12, 3)
    assert (fidelity["rows"], fidelity["examples"], fidelity["rationales"]) == (2, 6, 0)
    assert mix["tasks"]["video_generation"]["repeats"] == 3
    assert mix["tasks"]["image_generation"]["repeats"] == 1
    assert mix["tasks"]["video_generation"]["share"] == pytest.approx(18 / 28, abs=1e-6)


def test_shares_stand_beside_the_weights_of_the_tasks_that_are_there(files: dict[str, str]) -> None:
    weights = {"image_generation": 3.0, "video_understanding": 50.0}
    mix = mix_report([files["grades"], files["points"]], weights)  # type: ignore[arg-type]
    assert {task: of["weight"] for task, of in mix["tasks"].items()} == {
        "image_generation": 0.75,
        "video_generation": 0.25,
    }
    assert {task: (of["rows"], of["examples"]) for task, of in mix["tasks"].items()} == {
        "image_generation": (10, 10),
        "video_generation": (6, 6),
    }


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5), st.integers(1, 3)), min_size=1, max_size=3))
def test_groups_and_tasks_add_up(tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int, int]]) -> None:
    folder = tmp_path_factory.mktemp("mix")
    names = []
    for task, (few, many, times) in zip(schema.TASKS, sizes, strict=False):
        rows = pairs(few, task=task) + points(many, task=task)
        names += [written(folder, task, rows)] * times
    mix = mix_report(names, {})
    assert mix["examples"] == sum((2 * few + many) * times for few, many, times in sizes)
    for parts in (mix["groups"], list(mix["tasks"].values())):
        assert sum(part["examples"] for part in parts) == mix["examples"]
        assert sum(part["rows"] for part in parts) == sum(few + many for few, many, _ in sizes)
        assert sum(part["share"] for part in parts) == pytest.approx(1, abs=1e-5)


def test_is_printed_as_a_table(files: dict[str, str]) -> None:
    lines = mix_lines(mix_report([*files.values(), files["grades"]], {"video_generation": 2.0}))
    assert lines[0].split() == [
        "task",
        "kind",
        "source",
        "scale",
        "dimension",
        "rows",
        "examples",
        "share",
        "ties",
        "rationales",
    ]
    assert lines[1].split() == ["image_generation", "pair", "hpd", "-", "-", "2", "4", "10.5%", "0", "0"]
    assert len({line.find("%") for line in lines[1:6]}) == 1
    assert lines[-1].split() == ["video_generation", "6", "2.0", "12", "31.6%", "66.7%"]


def test_candidates_are_scored_on_the_scale_that_the_judge_learned(tmp_path: Path) -> None:
    clips = {"task": "video_generation", "scale": GRADES | {"name": "1-4", "maximum": 4}}
    stars = {"task": "image_understanding", "scale": GRADES | {"name": "1-7", "maximum": 7}}
    files = [
        written(tmp_path, "overall", points(2, **clips, dimension="overall")),
        written(tmp_path, "grades", points(9, task="video_generation", scale=GRADES, dimension="motion")),
        written(tmp_path, "stars", points(3, **stars)),
        written(tmp_path, "pairs", pairs(3)),
    ]
    # Overall before dimensions; no form for 1-7, so it is carried over to the task's own; no points, no scale.
    assert point_scales(mix_report(files, {})) == {"video_generation": "1-4"}
    assert point_scales(mix_report([files[1]], {})) == {"video_generation": "bad-normal-good"}


def test_a_task_whose_scores_are_not_taught_is_named(files: dict[str, str]) -> None:
    mix = mix_report([files["pairs"], files["grades"]], {})
    lacking = "no point row of {}: the scores by which its candidates are sifted are not learned"
    assert mix_lines(mix)[-1] == lacking.format("image_generation")
    without = mix_lines(mix, ["image_generation", "video_understanding"])  # the second has no preferences at all
    assert without[-2:] == [lacking.format(task) for task in ("image_generation", "video_understanding")]
    assert not any("no point row" in line for line in mix_lines(mix_report([files["pairs"], files["points"]], {})))

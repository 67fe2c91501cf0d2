from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from object_server import by_chance
from pipeline.imports import content_of, on_this_machine, rows_in, write_labels, write_sources

from urm_ray import store
from urm_ray.config import PrepareConfig
from urm_ray.config_file import build_as
from urm_ray.config_mix import Mix
from urm_ray.fingerprint import fingerprint
from urm_ray.pipeline import import_sources
from urm_ray.pipeline.prepare import part_source
from urm_ray.sources.check import check_preference
from urm_ray.sources.parquet import ParquetPreferences
from urm_ray.sources.registry import SourceError


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_sources, "spread", on_this_machine())


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("labels")
    write_labels(folder)
    return str(folder)


def run(folder: Path | str, settings: dict[str, Any]) -> dict[str, Any]:
    return import_sources.import_sources(build_as(Mix, settings), str(folder))


def test_an_import_into_a_bucket_has_the_bytes_of_one_into_a_folder_and_is_read_from_there(objects, tmp_path):
    mix, out = write_sources(tmp_path), objects.uri("imports", "mix")
    objects.fault = by_chance(0, 0.05, ("500", "503", "reset", "cut"))
    assert run(out, mix) == run(tmp_path / "out", mix)
    files = {file.name: store.read_bytes(store.join(out, file.name)) for file in store.tree(out)}
    assert files == content_of(tmp_path / "out")
    assert objects.done
    before = dict(files)
    assert run(out, mix)["rows"]
    assert {name: store.read_bytes(store.join(out, name)) for name in before} == before
    wanted = PrepareConfig(preferences_path=out, heldout_pairs=1, heldout_points=1).model_dump()
    here = wanted | {"preferences_path": str(tmp_path / "out")}
    assert fingerprint(out) == fingerprint(here["preferences_path"])
    there, local = (part_source(config, 0, "image_generation", "train_pairs") for config in (wanted, here))
    assert there.size("train_pairs") == local.size("train_pairs") > 0
    assert list(there.read("train_pairs", 0, 2)) == list(local.read("train_pairs", 0, 2))


def ids(folder: Path) -> set[str]:
    return {row["preference_id"] for row in rows_in(folder)}


def test_a_mix_is_read_into_one_folder_and_everything_is_accounted_for(tmp_path, capsys):
    found = run(tmp_path / "out", write_sources(tmp_path))
    pairs, points, own = found["sources"]
    assert (pairs["found"], pairs["held_out"], pairs["expected"]) == (4, 0, 4)
    assert points["dropped"] == {"neither a label nor a score": 1, "missing picture": 2}
    assert (points["found"] + points["held_out"], points["left_out"]) == (
        10,
        {"of another task, kind or dimension": 12},
    )
    assert points["held_out"] == 3
    assert (own["found"], own["dropped"], own["left_out"]) == (8, {}, {"prompt is held out": 4})
    for source in found["sources"]:
        lost = sum(source["dropped"].values()) + sum(source["left_out"].values())
        assert source["seen"] == source["found"] + source["held_out"] + lost
    assert found["rows"] == sum(source["found"] for source in found["sources"])
    assert found["repeated_ids"] == 0
    assert found == store.read_json(str(tmp_path / "out" / "mix.json"))
    for name in ("pairs", "points", "preferences"):
        rows = rows_in(tmp_path / "out" / name)
        assert len(rows) == next(s["found"] for s in found["sources"] if s["name"] == name)
        assert all(check_preference(row) is None for row in rows)
    said = capsys.readouterr().out
    assert "preferences: 8 rows where 99 were expected" in said
    assert "points: 2 dropped: missing picture" in said


def test_the_groups_of_the_report_count_tasks_kinds_sources_scales_dimensions_and_labels(tmp_path):
    found = run(tmp_path / "out", write_sources(tmp_path))
    group = {"task": "image_generation", "scale": None, "dimension": None, "rationales": 0}
    assert [g for g in found["groups"] if g["kind"] == "pair"] == [
        group | {"kind": "pair", "source": "csv", "rows": 4, "labels": {"first": 4}},
        group | {"kind": "pair", "source": "test", "rows": 4, "labels": {"first": 2, "second": 1, "tie": 1}},
    ]
    assert {(g["source"], g["scale"]) for g in found["groups"] if g["kind"] == "point"} == {
        ("csv", "1-5"),
        ("test", "1-5"),
    }


def test_the_folder_is_a_source_of_a_run_and_what_was_put_aside_is_none(tmp_path):
    found = run(tmp_path / "out", write_sources(tmp_path))
    wanted = {"train_pairs": 99, "train_points": 99}
    read = ParquetPreferences(str(tmp_path / "out"), 0, "image_generation", wanted)
    rows = [row for part in wanted for row in read.read(part, 0, read.size(part))]  # type: ignore[arg-type]
    assert len(rows) == found["rows"]
    assert {row["source"] for row in rows if isinstance(row, dict)} == {"csv", "test"}
    held = ParquetPreferences(str(tmp_path / "out" / "_held_out"), 0, "image_generation", wanted)
    assert held.size("train_points") == found["sources"][1]["held_out"]


def test_no_prompt_that_is_held_out_is_in_any_source(tmp_path):
    settings = write_sources(tmp_path)
    settings["sources"][0]["take"] = "all"
    found = run(tmp_path / "out", settings)
    held = {row["prompt"] for row in rows_in(tmp_path / "out" / "_held_out" / "points")}
    assert held
    trained = {row["prompt"] for name in ("pairs", "points", "preferences") for row in rows_in(tmp_path / "out" / name)}
    assert not held & trained
    assert all(source["left_out"].get("prompt is held out") for source in (found["sources"][0], found["sources"][2]))


def test_broken_records_are_in_the_quarantine_by_their_own_names(tmp_path):
    run(tmp_path / "out", write_sources(tmp_path))
    aside = [
        row for step in ("list", "read", "held") for row in rows_in(tmp_path / "out" / "_quarantine" / "points" / step)
    ]
    assert sorted((row["row_id"], row["reason"]) for row in aside) == [
        ("labels.csv:25", "neither a label nor a score"),
        ("point 4", "missing picture"),
        ("point 7", "missing picture"),
    ]


@settings(max_examples=12)
@given(st.integers(1, 14), st.integers(0, 3), st.sampled_from([2, 7, 50]), st.integers(0, 9))
def test_exactly_so_many_are_taken_and_always_the_same(tmp_path_factory, monkeypatch, labels, take, seed, rows, order):
    settings = {"seed": seed, "sources": [{"source": "csv", "path": labels, "kind": "pair", "take": take}]}
    whole = tmp_path_factory.mktemp("take")
    run(whole, settings | {"unit_rows": 1000})
    monkeypatch.setattr(import_sources, "spread", on_this_machine(order))
    parts = tmp_path_factory.mktemp("take")
    found = run(parts, settings | {"unit_rows": rows})
    assert found["sources"][0]["found"] == min(take, 10)
    assert ids(parts / "csv") == ids(whole / "csv")


def test_fewer_are_some_of_the_more(tmp_path, labels):
    taken = []
    for take in (2, 5, 9, "all"):
        run(tmp_path / str(take), {"sources": [{"source": "csv", "path": labels, "kind": "pair", "take": take}]})
        taken.append(ids(tmp_path / str(take) / "csv"))
    assert [len(own) for own in taken] == [2, 5, 9, 10]
    assert taken[0] < taken[1] < taken[2] < taken[3]


@pytest.mark.parametrize("stop", [0, 1, 4, 9, 13])
def test_a_stopped_import_goes_on_and_comes_to_the_same_bytes(tmp_path, monkeypatch, stop):
    settings = write_sources(tmp_path)
    run(tmp_path / "whole", settings)
    monkeypatch.setattr(import_sources, "spread", on_this_machine(3, stop))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", settings)
    assert not (tmp_path / "out" / "mix.json").exists()
    done = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in content_of(tmp_path / "out")}
    monkeypatch.setattr(import_sources, "spread", on_this_machine(5))
    run(tmp_path / "out", settings)
    assert content_of(tmp_path / "out") == content_of(tmp_path / "whole")
    again = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in done if not name.endswith("plan.json")}
    assert again == {name: at for name, at in done.items() if not name.endswith("plan.json")}


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    settings = write_sources(tmp_path)
    first = run(tmp_path / "out", settings)
    monkeypatch.setattr(import_sources, "spread", on_this_machine(0, 0))
    assert run(tmp_path / "out", settings | {"cpus": 2}) == first


@pytest.mark.parametrize("changes", [{"seed": 1}, {"unit_rows": 6}, {"sources": [{"source": "csv", "path": "labels"}]}])
def test_another_import_does_not_get_into_the_same_folder(tmp_path, changes):
    settings = write_sources(tmp_path)
    run(tmp_path / "out", settings)
    before = content_of(tmp_path / "out")
    with pytest.raises(store.StoreError, match="holds an import of other settings or files"):
        run(tmp_path / "out", settings | changes)
    assert content_of(tmp_path / "out") == before


def test_other_files_do_not_get_into_the_same_folder(tmp_path):
    settings = write_sources(tmp_path)
    run(tmp_path / "out", settings)
    write_labels(tmp_path / "labels", 13)
    with pytest.raises(store.StoreError, match="holds an import of other settings or files"):
        run(tmp_path / "out", settings)


def test_sources_that_are_not_there_are_all_named_before_anything_is_read(tmp_path):
    settings = write_sources(tmp_path)
    settings["sources"] += [{"source": "hpd", "path": "nowhere"}, {"source": "trl", "path": "owner/none"}]
    with pytest.raises(SourceError, match=r"hpd: there is no .*'nowhere'; trl: there is no .*'owner/none'"):
        run(tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()
    found = run(tmp_path / "out", settings | {"allow_missing": True})
    assert [source["found"] for source in found["sources"]] == [4, 7, 8, 0, 0]


def test_a_source_without_a_usable_row_says_why(tmp_path, labels):
    settings = {"sources": [{"source": "csv", "path": labels, "task": "video_generation"}]}
    with pytest.raises(SourceError, match=r"no usable row in csv: neither a label .*of another task.*_quarantine"):
        run(tmp_path / "out", settings)


@pytest.mark.parametrize(
    ("name", "problem"), [("csw", "no source 'csw'; there are csv,"), ("no.module:X", "there is no")]
)
def test_a_reader_that_is_not_there_is_one_sentence(tmp_path, labels, name, problem):
    with pytest.raises(SourceError, match=problem):
        run(tmp_path / "out", {"sources": [{"name": "x", "source": name, "path": labels}]})


def test_the_same_rows_twice_are_pointed_out(tmp_path, labels, capsys):
    source = {"source": "csv", "path": labels}
    found = run(tmp_path / "out", {"sources": [source, source | {"name": "again"}]})
    assert found["repeated_ids"] == 20
    assert "20 rows have an id that another row has" in capsys.readouterr().out

"""Where a run stands, at several points of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pytest
import yaml
from helpers import ROOT, TASK, run_python
from report.finished_run import finished_run

from urm_ray import cli_status, schema, store
from urm_ray.report.status import standing
from urm_ray.report.status_lines import status_lines
from urm_ray.report.summary import Sources
from urm_ray.run_folder import RunFolder
from urm_ray.store import StoreError

FOLLOWING = ("generate", "pairs", "dpo", "baseline", "evaluate")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run but for its report, as its folder is."""
    write_config(tmp_path, finished_run(tmp_path))
    return tmp_path


def write_config(folder: Path, sources: Sources, name: str = "config.yaml") -> None:
    digests = {name: stage.digest for name, stage in sources.stages.items()} | {"report": "0" * 32}
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump({"config": {}, "digests": digests}, sort_keys=False))


def folder_of(run: Path, name: str) -> Path:
    return next(run.glob(f"{name}-*"))


def begin(run: Path, name: str, **noted: Any) -> Path:
    """Makes a stage one that was begun, and those after it ones that were not."""
    for later in FOLLOWING[FOLLOWING.index(name) :]:
        shutil.rmtree(folder_of(run, later))
    stage = run / f"{name}-{TASK}-{schema.digest('stage', f'{name}-{TASK}')[:12]}"
    stage.mkdir()
    if noted:
        (stage / "progress.json").write_text(json.dumps({"time": time.time(), **noted}))
    return stage


def write_lock(run: Path, **changes: Any) -> None:
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": None, "since": time.time() - 90, "beat": 0}
    (run / ".lock").write_text(json.dumps(own | {"token": "t"} | changes))


def states(found: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["state"] for stage in found["stages"]}


def stage_of(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(stage for stage in found["stages"] if stage["name"].startswith(name))


def text_of(run: Path) -> str:
    return "\n".join(status_lines(standing(str(run))))


HALF = {
    "part": "",
    "seconds": 20.0,
    "rows": 6,
    "total": 12,
    "unit": "rows",
    "counts": {"verdicts": {"first": 9, "unparsed": 1}},
    "rate": 0.5,
    "left_s": 12.0,
    "tokens_per_s": {"read": 50.0},
    "at_work": {"Judge": 1.5},
}


def test_a_finished_run_tells_what_came_of_each_stage_and_the_headline(run: Path) -> None:
    found = standing(str(run))
    assert list(states(found).values()) == ["done"] * 8 + ["to do"]
    text = text_of(run)
    assert "8 of 9 stages done in 2 min 08 s; nobody writes into it" in text
    for said in (
        "1,200 train pairs, 1,200 train points",
        "5 steps, loss 0.2",
        "image generation 0.750 (0.598 to 0.858), n 40",
        "9 of 12 pairs kept (dropped: 3 tie)",
        "whole 0.400 to 0.600, gain +0.200 (+0.100 to +0.300), n 40",
    ):
        assert said in text
    assert text.splitlines()[-1] == f"{'report':{len(f'generate-{TASK}')}}  to do"


def test_the_stage_under_way_tells_how_far_it_is_and_how_long_it_will_take(run: Path) -> None:
    begin(run, "generate", **HALF)
    write_lock(run)
    found = standing(str(run))
    assert list(states(found).values()) == ["done"] * 3 + ["under way"] + ["to do"] * 5
    generate = stage_of(found, "generate")
    assert 10 < generate["left_s"] <= 12
    assert 20 <= generate["seconds"] < 22
    assert found["writer"]["pid"] == os.getpid()
    assert found["writer"]["lives"]
    lines = text_of(run).splitlines()
    assert f"process {os.getpid()} on {socket.gethostname()} writes into it since" in lines[0]
    assert "UTC (1 min 30 s)" in lines[0]
    assert "6/12 rows, 10 verdicts (1 unparsed); 0.5/s, " in lines[4]
    assert " left, 50 tokens/s read, at work Judge 1.50 (" in lines[4]


def test_a_stage_whose_writer_is_dead_is_stopped_and_says_nothing_of_what_is_to_come(run: Path) -> None:
    stage = begin(run, "generate", **HALF)
    (stage / "seconds.json").write_text("75.0")
    write_lock(run, started="another process had this number")
    found = standing(str(run))
    generate = stage_of(found, "generate")
    assert (generate["state"], generate["seconds"], generate["left_s"]) == ("stopped", 75.0, None)
    lines = text_of(run).splitlines()
    assert "is dead: the same command goes on from here" in lines[0]
    assert "1 min 15 s  6/12 rows, 10 verdicts (1 unparsed) (" in lines[4]


def test_a_writer_on_another_machine_is_known_by_its_signs_of_life(run: Path) -> None:
    begin(run, "generate", **HALF)
    write_lock(run, host="elsewhere", beat=time.time() - 5)
    assert states(standing(str(run)))[f"generate-{TASK}"] == "under way"
    write_lock(run, host="elsewhere", beat=time.time() - 500, since=time.time() - 900)
    assert states(standing(str(run)))[f"generate-{TASK}"] == "stopped"


def test_a_stage_that_was_killed_took_as_long_as_it_said_last(run: Path) -> None:
    begin(run, "generate", **HALF)
    assert stage_of(standing(str(run)), "generate")["seconds"] == 20.0


def test_what_an_earlier_writer_left_is_not_under_way(run: Path) -> None:
    begin(run, "generate", **HALF, time=time.time() - 3600)
    write_lock(run)
    assert states(standing(str(run)))[f"generate-{TASK}"] == "stopped"


def test_a_training_tells_its_step_and_its_loss(run: Path) -> None:
    begin(run, "dpo", step=40, steps=100, loss=0.61, waiting=0.05, left_s=30.0)
    write_lock(run)
    assert f"dpo-{TASK}" in text_of(run)
    assert "step 40/100, loss 0.61, waiting 5.0%, " in text_of(run)
    assert stage_of(standing(str(run)), "dpo")["progress"]["loss"] == 0.61


def test_a_stage_that_has_told_nothing_yet_is_under_way_all_the_same(run: Path) -> None:
    begin(run, "generate")
    write_lock(run)
    assert stage_of(standing(str(run)), "generate")["state"] == "under way"
    assert text_of(run).splitlines()[4].split()[1:] == ["under", "way"]


def test_what_was_put_aside_is_counted_by_reason(run: Path) -> None:
    rows = [{"row_id": str(n), "stage": "generate", "reason": f"reason {n % 5}", "detail": None} for n in range(11)]
    place = folder_of(run, "generate") / "quarantine"
    for part, some in (("judged", rows[:4]), ("more", rows[4:])):
        store.write_table(f"{place}/{part}/unit-000000.parquet", pa.Table.from_pylist(some, schema.QUARANTINE))
    assert stage_of(standing(str(run)), "generate")["put_aside"] == {
        "reason 0": 3,
        "reason 1": 2,
        "reason 2": 2,
        "reason 3": 2,
        "reason 4": 2,
    }
    assert "11 put aside (3 reason 0, 2 reason 1, 2 reason 2, 2 more reasons)" in text_of(run)


def test_of_experiments_the_stages_of_all_variants_are_told_that_were_begun(tmp_path: Path) -> None:
    sources = finished_run(tmp_path)
    write_config(tmp_path, sources)
    write_config(tmp_path, sources, "variants/one.yaml")
    other = {"digests": {"reward": "f" * 32, "judge": "e" * 32, f"prepare-{TASK}": "d" * 32}}
    (tmp_path / "variants/two.yaml").write_text(yaml.safe_dump(other))
    (tmp_path / f"reward-{'f' * 12}").mkdir()
    found = standing(str(tmp_path))
    assert list(states(found)) == list(sources.stages)
    begun = [stage for stage in found["stages"] if stage["name"] == "reward"]
    assert [stage["state"] for stage in begun] == ["done", "stopped"]
    # Two of one name are told apart.
    assert [line.split()[0] for line in text_of(tmp_path).splitlines() if "reward" in line] == [
        stage["folder"] for stage in begun
    ]


def test_a_folder_that_holds_no_run_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StoreError, match=r"holds no run: it has no config\.yaml"):
            standing(str(folder))
        assert cli_status.main(argv=[str(folder)]) == 1
        assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "missing").exists()


def test_nothing_is_written_and_no_lock_is_taken(run: Path) -> None:
    def there() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in run.rglob("*")}

    with RunFolder(str(run)).lock():
        before = there()
        standing(str(run))
        assert there().keys() == before.keys()
    assert not (run / ".lock").exists()


def test_any_file_system_will_do(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(run, "generate", **HALF)
    write_lock(run)
    local = standing(str(run))
    whole = pafs.SubTreeFileSystem(str(run), pafs.LocalFileSystem())
    monkeypatch.setattr(store, "locate", lambda uri: (whole, uri.removeprefix("mem://run").strip("/")))
    remote = standing("mem://run")
    assert states(remote) == states(local)
    assert stage_of(remote, "generate")["progress"] == stage_of(local, "generate")["progress"]


def test_the_job_says_the_same_as_json_and_loads_nothing_heavy(run: Path) -> None:
    begin(run, "generate", **HALF)
    write_lock(run)
    code = (
        "import sys\nfrom urm_ray.cli_status import main\nstatus = main('', [sys.argv[1], '--json'])\n"
        "print({n for n in ('torch', 'ray', 'transformers', 'pandas') if n in sys.modules}, file=sys.stderr)\n"
        "sys.exit(status)"
    )
    done = run_python("-c", code, str(run))
    assert done.stderr.strip() == "set()"
    found = json.loads(done.stdout)
    assert states(found) == states(standing(str(run)))
    shown = run_python(str(ROOT / "jobs/status.py"), str(run))
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[4].startswith(f"generate-{TASK}  under way")


def test_it_is_quick(run: Path) -> None:
    started = os.times()
    run_python(str(ROOT / "jobs/status.py"), str(run))
    ended = os.times()
    # Of this process's children, so that what else the machine does counts for nothing.
    took = ended.children_user + ended.children_system - started.children_user - started.children_system
    assert took < 2.0

"""Reports of finished runs, and pages of those that are under way."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import TASK
from report.finished_run import finished_run

from urm_ray import cli, store
from urm_ray.pipeline.make_report import make_report
from urm_ray.pipeline.run import Run
from urm_ray.report.summary import Sources
from urm_ray.run_folder import RunFolder

CONFIG = """
run: {{dir: {folder}}}
tasks: [{task}]
judge_base: {{path: {models}}}
policies: {{{task}: {{path: {models}, evaluate: {{scorer: "pkg.oracle:Oracle"}}}}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    models.mkdir()
    (models / "config.json").write_text("{}")
    file = tmp_path / "mine.yaml"
    file.write_text(CONFIG.format(folder=tmp_path / "run", task=TASK, models=models))
    return file


def run_of(config: Path) -> Run:
    from urm_ray.config_file import load

    return Run(load(str(config), []))


def write_run(run: Run, folder: Path, without: tuple[str, ...] = ()) -> None:
    """The stages of `finished_run` where this run looks for them."""
    sources: Sources = finished_run(folder)
    for name, stage in sources.stages.items():
        if name not in without:
            base, _, task = name.partition("-")
            target = Path(run.stage(base, TASK if task else None).uri)
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(stage.uri).rename(target)


def report(config: Path) -> int:
    return cli.main(["report"], argv=["--config", str(config)])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_somebody_works_on_is_reported_beside_him_and_nothing_of_it_changes(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(config)
    write_run(run, tmp_path / "made", without=(f"evaluate-{TASK}", f"dpo-{TASK}"))
    with RunFolder.open(run.folder.uri).lock():
        before = content(tmp_path / "run")
        assert report(config) == 0
        after = content(tmp_path / "run")
    page = after.pop("unfinished.html").decode()
    assert after.pop(".lock")
    before.pop(".lock")
    assert after == before
    assert f"Still to be done: dpo-{TASK}, evaluate-{TASK}." in page
    assert "6 of 8 stages are done" in capsys.readouterr().out


def test_a_run_of_which_nothing_is_done_has_no_page(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(config) == 1
    assert "no stage is done yet" in capsys.readouterr().err


def test_the_report_of_a_finished_run_takes_the_place_of_the_unfinished_page(config: Path, tmp_path: Path) -> None:
    run = run_of(config)
    write_run(run, tmp_path / "made")
    store.write_bytes(store.join(run.folder.uri, "unfinished.html"), b"old")
    stage = run.stage("report")
    make_report(run, stage)
    assert (tmp_path / "run/report.html").exists()
    assert not (tmp_path / "run/unfinished.html").exists()

import errno
import itertools
import os
import sys
import types

import pytest
from helpers import ROOT, run_python
from ray.exceptions import OutOfDiskError

from urm_ray import cli
from urm_ray.run_folder import RunFolder
from urm_ray.store import StoreError

JOBS = sorted((ROOT / "jobs").glob("*.py"))


def config(folder, text: str = "") -> str:
    path = folder / "run.yaml"
    path.write_text(text)
    return str(path)


def refused(capsys, *arguments: str) -> str:
    """What a job says to arguments that cannot work: one sentence, and exit status 1."""
    assert cli.main(["prepare"], "", arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert said.err.startswith("error")
    return said.err


def test_an_unknown_key_is_one_sentence_with_the_key_that_was_meant(capsys, tmp_path):
    path = config(tmp_path, "reward:\n  step: 3\n")
    assert (
        refused(capsys, "--config", path) == f"error in {path}: unknown key reward.step; did you mean reward.steps?\n"
    )


def test_a_missing_file_is_one_sentence(capsys, tmp_path):
    assert "cannot read" in refused(capsys, "--config", str(tmp_path / "nowhere.yaml"))


@pytest.mark.parametrize("assignment", ["nonsense", "run.seed=[", "run.seed.deep=1", "run.sed=1", "run.seed=many"])
def test_a_bad_override_is_one_sentence(capsys, tmp_path, assignment):
    said = refused(capsys, "--config", config(tmp_path, "run: {seed: 1}\n"), "--set", assignment)
    assert assignment.partition("=")[0] in said


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"run: [", b"just words"])
def test_a_broken_file_is_one_sentence(capsys, tmp_path, content):
    (tmp_path / "run.yaml").write_bytes(content)
    assert str(tmp_path) in refused(capsys, "--config", str(tmp_path / "run.yaml"))


def test_a_job_without_a_configuration_says_how_it_is_used(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["prepare"], "Prepares.", [])
    assert stopped.value.code == 2
    assert "--config" in capsys.readouterr().err


class WrappedError(Exception):
    """As Ray wraps the error of a task."""

    def __init__(self, cause):
        super().__init__("a long story")
        self.cause = cause


def chained(*errors: Exception) -> BaseException:
    for outer, inner in itertools.pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


def test_the_first_error_of_a_chain_is_the_one_to_tell():
    root = ValueError("the disk is gone")
    assert cli.root_cause(root) is root
    assert cli.root_cause(chained(RuntimeError("a"), KeyError("b"), root)) is root
    assert cli.root_cause(WrappedError(chained(RuntimeError("a"), root))) is root
    group = RuntimeError("training failed")
    group.worker_failures = {0: WrappedError(root)}  # type: ignore[attr-defined]
    assert cli.root_cause(group) is root


def test_errors_that_cause_each_other_end():
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert cli.root_cause(one) in (one, two)


def job(monkeypatch, folder, run_stages) -> int:
    """Runs a job whose stages are replaced by a function."""
    stages = types.ModuleType("urm_ray.pipeline.stages")
    stages.FUNCTIONS, stages.run_stages = {}, run_stages  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "urm_ray.pipeline.stages", stages)
    return cli.main(["prepare", "reward"], "", ["--config", config(folder, f"run: {{dir: {folder}/run}}\n")])


def test_experiments_are_picked_by_number(monkeypatch, tmp_path):
    asked = []
    module = types.ModuleType("urm_ray.experiments.run")
    module.run_experiments = lambda run: asked.append(run.config.experiments.only)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "urm_ray.experiments.run", module)
    path = config(tmp_path, f"run: {{dir: {tmp_path}/run}}\n")
    for extra in (["--only", "1,3"], ["--only", "4"], []):
        assert cli.main(["experiments"], "", ["--config", path, *extra]) == 0
    assert asked == [[1, 3], [4], [1, 2, 3, 4]]


@pytest.mark.parametrize("picked", ["5", "one"])
def test_an_experiment_that_there_is_not_is_one_sentence(capsys, tmp_path, picked):
    path = config(tmp_path)
    assert cli.main(["experiments"], "", ["--config", path, "--plan", "--only", picked]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error in {path}: experiments.only.0")
    assert said.count("\n") == 1


def failing(error: BaseException):
    def run_stages(run, names):
        raise error

    return run_stages


def test_the_named_stages_run_in_order_under_the_lock(monkeypatch, tmp_path):
    seen = []

    def run_stages(run, names):
        seen.extend(names)
        assert (tmp_path / "run" / ".lock").exists()

    assert job(monkeypatch, tmp_path, run_stages) == 0
    assert seen == ["prepare", "reward"]
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x"), "error: no free space in {folder}"),
        (WrappedError(OSError(errno.ENOSPC, "x")), "error: no free space in {folder}"),
        (RuntimeError("write failed: [Errno 28] No space left on device"), "error: no free space in {folder}"),
        (OSError(errno.ENOSPC, "x", "/proc/elsewhere"), "error: no free space in /proc/elsewhere"),
        (
            RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 640 vs 598"),
            "error: no free space in",
        ),
        (WrappedError(OutOfDiskError("Local disk is full")), "error: no free space on a node's disk, where Ray puts"),
        (KeyError("column"), "error: KeyError: 'column'"),
        (ValueError("first line\nsecond line"), "error: ValueError: first line ("),
        (RuntimeError(), "error: RuntimeError: no message"),
        (WrappedError(StoreError("stage reward is not done")), "error: stage reward is not done ("),
    ],
)
def test_an_error_is_one_sentence_and_its_trace_lies_in_the_run(capsys, monkeypatch, tmp_path, error, said):
    assert job(monkeypatch, tmp_path, failing(error)) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith(said.format(folder=tmp_path / "run"))
    assert f"(trace in {tmp_path}/run/error.log)" in line
    assert "Traceback" in (tmp_path / "run" / "error.log").read_text()
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_run_whose_folder_another_holds_writes_nothing_there(capsys, monkeypatch, tmp_path):
    def names():
        return {path.name for path in (tmp_path / "run").rglob("*")}

    with RunFolder.open(str(tmp_path / "run")).lock():
        before = names()
        assert job(monkeypatch, tmp_path, failing(AssertionError())) == 1
        assert names() == before
    said = capsys.readouterr().err
    assert said.startswith(f"error: the run folder {tmp_path}/run is in use by process {os.getpid()} on ")
    assert "trace in" not in said


def test_a_run_folder_that_cannot_be_made_is_one_sentence(capsys, monkeypatch, tmp_path):
    (tmp_path / "run").write_text("a file")
    assert job(monkeypatch, tmp_path, failing(AssertionError())) == 1
    assert capsys.readouterr().err.startswith(f"error: cannot create the run folder {tmp_path}/run: ")


@pytest.mark.parametrize(("ending", "status"), [(KeyboardInterrupt(), 130), (SystemExit(15), 143)])
def test_a_run_that_is_stopped_says_that_it_can_go_on(capsys, monkeypatch, tmp_path, ending, status):
    assert job(monkeypatch, tmp_path, failing(ending)) == status
    assert capsys.readouterr().err == "stopped; the same command goes on from here\n"
    assert not (tmp_path / "run" / ".lock").exists()


def test_every_job_says_how_it_is_used_without_loading_anything_heavy():
    assert {path.stem for path in JOBS} >= {"pipeline", "prepare_data", "train_reward", "generate_pairs", "train_dpo"}
    code = (
        "import runpy, sys\n"
        "for path in sys.argv[1:]:\n"
        "    sys.argv = [path, '--help']\n"
        "    try: runpy.run_path(path, run_name='__main__')\n"
        "    except SystemExit as stop: assert stop.code == 0, path\n"
        "    else: raise AssertionError(path)\n"
        "assert not {'ray', 'torch', 'transformers'} & set(sys.modules), 'heavy'\n"
    )
    done = run_python("-c", code, *map(str, JOBS))
    assert done.returncode == 0, done.stderr
    for path in JOBS:
        assert f"usage: {path.name}" in done.stdout
        other = {"export.py": "--format", "convert_checkpoint.py": "--from", "status.py": "runs/"}
        assert f"python jobs/{path.name} {other.get(path.name, '--config')}" in done.stdout


def test_a_missing_checkpoint_is_one_sentence_of_the_whole_job(tmp_path):
    path = config(
        tmp_path,
        f"run: {{dir: {tmp_path}/run}}\njudge_base: {{path: /nowhere/vlm}}\n"
        "policies: {image_generation: {path: /nowhere/sd}}\n",
    )
    done = run_python("jobs/pipeline.py", "--config", path, "--plan")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("error")] == [
        f"error: there is no checkpoint at /nowhere/vlm (trace in {tmp_path}/run/error.log)"
    ]


def test_a_plan_whose_reader_has_gone_is_no_error(tmp_path, monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        path = config(
            tmp_path,
            f"run: {{dir: {tmp_path}/run}}\njudge_base: {{path: 'urm_ray.scenes:checkpoints/vlm'}}\n"
            "policies: {image_generation: {path: 'urm_ray.scenes:checkpoints/text_to_image'}}\n",
        )
        assert cli.main(["pipeline"], "", ["--config", path, "--plan"]) == 141
    assert not (tmp_path / "run" / "error.log").exists()


def test_a_plan_lists_what_comes_before_a_jobs_stages_and_nothing_after(tmp_path, capsys):
    path = config(
        tmp_path,
        f"run: {{dir: {tmp_path}/run}}\njudge_base: {{path: 'urm_ray.scenes:checkpoints/vlm'}}\n"
        "policies: {image_generation: {path: 'urm_ray.scenes:checkpoints/text_to_image'}}\n",
    )
    assert cli.main(["reward", "judge"], "", ["--config", path, "--plan"]) == 0
    stages = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert [(line.split()[0], "by another job" in line) for line in stages] == [
        ("prepare-image_generation", True),
        ("reward", False),
        ("judge", False),
    ]

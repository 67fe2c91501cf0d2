"""The command line that all jobs share. Parses first and imports what is heavy afterwards."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from urm_ray import cli_benchmarks, cli_import
from urm_ray.config import Config
from urm_ray.config_file import ConfigError, load
from urm_ray.secrets import printed

EXPERIMENTS = "experiments"
"""What a job names in place of stages to run the experiments."""
WITHOUT_CONFIG: dict[str, Any] = {"import": cli_import, "benchmarks": cli_benchmarks}
"""What a job names beside its stages for what it does where it is given no configuration."""


def parse(names: Sequence[str], description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    other = _without_config(names)
    parser.add_argument(
        "--config", required=other is None, help="the run's YAML file, such as jobs/configs/quickstart.yaml"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY.PATH=VALUE",
        dest="assignments",
        help="override a setting; the value is YAML; may be repeated",
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="print the stages, their folders and what is done, what the run will need and whether it fits; do nothing",
    )
    if EXPERIMENTS in names:
        parser.add_argument("--only", metavar="1,3", help="run these experiments; the tables keep what others found")
    if other is not None:
        other.add_arguments(parser)
    arguments = parser.parse_args(argv)
    if other is not None:
        other.check(parser, arguments)
    if getattr(arguments, "only", None):
        arguments.assignments.append(f"experiments.only=[{arguments.only}]")
    return arguments


def main(names: Sequence[str], description: str = "", argv: Sequence[str] | None = None) -> int:
    """Runs the named stages in order, or the experiments. Exit status 0, or 1 after one sentence on what went wrong."""
    arguments = parse(names, description, argv)
    if arguments.config is None:
        return _without_config(names).main(arguments)
    try:
        config = load(arguments.config, arguments.assignments)
        return _run(names, config, arguments.plan)
    except ConfigError as error:
        print(printed(f"error in {arguments.config}: {error}"), file=sys.stderr)
        return 1


def _without_config(names: Sequence[str]) -> Any:
    return next((WITHOUT_CONFIG[name] for name in names if name in WITHOUT_CONFIG), None)


def _plan(run: Any, names: Sequence[str]) -> Iterator[str]:
    from urm_ray.models import NoHubError
    from urm_ray.pipeline.run import STAGES
    from urm_ray.planning.plan import plan

    if EXPERIMENTS in names:
        from urm_ray.experiments.run import plan_experiments

        yield from plan_experiments(run)
        return
    try:
        steps = run.steps(STAGES)
        last = max((number for number, (name, _) in enumerate(steps) if name in names), default=-1)
        for number, (name, task) in enumerate(steps):
            stage = run.stage(name, task)
            mark = "done" if stage.done else "to do" if name in names else "to do first, by another job"
            if stage.done or number <= last:
                yield f"{stage.name:30} {mark:6} {stage.uri}"
    except NoHubError as error:
        yield f"Stages have no folders yet: {error}"
    yield from plan(run.config)


def _work(run: Any, names: Sequence[str]) -> None:
    if EXPERIMENTS in names:
        from urm_ray.experiments.run import run_experiments

        run_experiments(run)
    else:
        from urm_ray.pipeline.stages import run_stages

        run_stages(run, names)


def _reported_unfinished(run: Any) -> bool:
    """Makes a page of what there is of a run that lacks stages; no lock is taken, as the run may be under way."""
    from urm_ray.pipeline.make_report import make_unfinished, missing

    if not missing(run):
        return False
    make_unfinished(run)
    return True


def _run(names: Sequence[str], config: Config, plan_only: bool) -> int:
    from urm_ray.pipeline.run import Run

    run = Run(config)
    try:
        if plan_only:
            return _print(_plan(run, names))
        if list(names) == ["report"] and _reported_unfinished(run):
            return 0
        with run.folder.lock():
            _work(run, names)
        return 0
    except BaseException as error:
        return explain(error, run.config.run.dir)


def _print(lines: Iterable[str]) -> int:
    try:
        for line in lines:
            print(printed(line), flush=True)
    except BrokenPipeError:  # as in `--plan | head`: whoever read it has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def explain(error: BaseException, folder: str) -> int:
    """One sentence for people, and the exit status: 1, or that of the signal which stopped the job.

    The trace of an error goes to the folder that was being written, for those who need it, unless it is another's.
    """
    from urm_ray.file_systems import StoreError, is_object, join, missing_space, no_space, problem
    from urm_ray.run_folder import InUseError
    from urm_ray.store import write_bytes

    if isinstance(error, (KeyboardInterrupt, SystemExit)):  # Ray turns the SIGTERM of `ray job stop` into the second
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130 if isinstance(error, KeyboardInterrupt) else 143
    cause = root_cause(error)
    if no_space(cause):
        sentence = f"no free space {missing_space(getattr(cause, 'filename', None) or folder)}"
    elif type(cause).__name__ == "OutOfDiskError":  # Ray's, which may not be loaded
        sentence = "no free space on a node's disk, where Ray puts what its memory does not hold: make room there"
    elif isinstance(cause, (StoreError, ValueError, RuntimeError)) and type(cause).__module__.startswith("urm_ray."):
        sentence = next(iter(str(cause).splitlines()), "")  # Ray Data adds lines about retries
    elif isinstance(cause, OSError) and "AWS Error" in str(cause):  # of a checkpoint that Ray Train writes or reads
        sentence = problem(folder, cause)
    else:
        first = (str(cause).strip() or "no message").splitlines()[0]
        sentence = f"{type(cause).__name__}: {first}"
    log = join(folder if "://" in folder else os.path.abspath(folder), "error.log")
    unwritable = is_object(folder) and isinstance(cause, StoreError)  # which may be that nothing can be written there
    if not (unwritable or isinstance(cause, InUseError)):
        with contextlib.suppress(OSError, StoreError):
            write_bytes(log, printed("".join(traceback.format_exception(error))).encode())
            sentence += f" (trace in {log})"
    print(printed(f"error: {sentence}"), file=sys.stderr)
    return 1


def root_cause(error: BaseException) -> BaseException:
    """The first error in a chain of wrapped ones, through Ray's own wrappers too."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = (
            getattr(error, "cause", None)
            or error.__cause__
            or next(iter(getattr(error, "worker_failures", {}).values()), None)
        )
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error

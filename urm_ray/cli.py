"""The command line that all jobs share. Parses first and imports what is heavy afterwards."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from urm_ray.config import Config
from urm_ray.config_file import ConfigError, load

EXPERIMENTS = "experiments"
"""What a job names in place of stages to run the experiments."""


def parse(names: Sequence[str], description: str, argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="the run's YAML file, such as jobs/configs/quickstart.yaml")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY.PATH=VALUE",
        dest="assignments",
        help="override a setting; the value is YAML; may be repeated",
    )
    parser.add_argument(
        "--plan", action="store_true", help="print the stages, their folders and what is done, and do nothing"
    )
    if EXPERIMENTS in names:
        parser.add_argument("--only", metavar="1,3", help="run these experiments; the tables keep what others found")
    arguments = parser.parse_args(argv)
    if getattr(arguments, "only", None):
        arguments.assignments.append(f"experiments.only=[{arguments.only}]")
    return arguments


def main(names: Sequence[str], description: str = "", argv: Sequence[str] | None = None) -> int:
    """Runs the named stages in order, or the experiments. Exit status 0, or 1 after one sentence on what went wrong."""
    arguments = parse(names, description, argv)
    try:
        config = load(arguments.config, arguments.assignments)
        return _run(names, config, arguments.plan)
    except ConfigError as error:
        print(f"error in {arguments.config}: {error}", file=sys.stderr)
        return 1


def _plan(run: Any, names: Sequence[str]) -> Iterator[str]:
    from urm_ray.pipeline.run import STAGES

    if EXPERIMENTS in names:
        from urm_ray.experiments.run import plan_experiments

        yield from plan_experiments(run)
        return
    for name, task in run.steps(STAGES):
        stage = run.stage(name, task)
        mark = "done" if stage.done else "to do" if name in names else "to do, by another job"
        yield f"{stage.name:30} {mark:6} {stage.uri}"


def _work(run: Any, names: Sequence[str]) -> None:
    if EXPERIMENTS in names:
        from urm_ray.experiments.run import run_experiments

        run_experiments(run)
    else:
        from urm_ray.pipeline.stages import run_stages

        run_stages(run, names)


def _run(names: Sequence[str], config: Config, plan_only: bool) -> int:
    from urm_ray.pipeline.run import Run

    run = Run(config)
    try:
        if plan_only:
            return _print(_plan(run, names))
        with run.folder.lock():
            _work(run, names)
        return 0
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BaseException as error:
        return _explain(error, run)


def _print(lines: Iterable[str]) -> int:
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:  # as in `--plan | head`: whoever read it has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _explain(error: BaseException, run: Any) -> int:
    """One sentence for people; the trace goes to the run folder for those who need it."""
    from urm_ray.store import StoreError

    cause = root_cause(error)
    if _is_no_space(cause):
        sentence = (
            f"no free space in the run folder {run.config.run.dir}: make room, and the same command goes on from here"
        )
    elif isinstance(cause, (StoreError, ValueError, RuntimeError)) and type(cause).__module__.startswith("urm_ray."):
        sentence = str(cause)
    else:
        first = (str(cause).strip() or "no message").splitlines()[0]
        sentence = f"{type(cause).__name__}: {first}"
    try:
        log = os.path.join(run.folder.uri, "error.log")
        with open(log, "w", encoding="utf-8") as stream:
            traceback.print_exception(error, file=stream)
        sentence += f" (trace in {log})"
    except (OSError, StoreError):
        pass
    print(f"error: {sentence}", file=sys.stderr)
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


def _is_no_space(error: BaseException) -> bool:
    return getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error)

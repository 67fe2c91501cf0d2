"""The part of the command line that puts judges to published benchmarks. Imports what is heavy afterwards."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any

from urm_ray.config_benchmarks import BenchmarkConfig
from urm_ray.config_file import ConfigError, build_as, override
from urm_ray.file_systems import name_of, parent_of
from urm_ray.secrets import printed

_JUDGE = ("protocol", "readout", "batch", "dtype", "resamples")
_POOL = ("actors", "num_cpus", "num_gpus")
_OWN = ("points", "limit", "judgements", "seed")
_ALL = ("judge", "benchmark", "out", "recompute", *_JUDGE, *_POOL, *_OWN)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "in place of --config, to put judges to published benchmarks; --set then is of judges' settings"
    )
    group.add_argument("--judge", action="append", metavar="[NAME=]PATH", help="a judge: a folder or hub name; repeat")
    group.add_argument(
        "--benchmark",
        action="append",
        metavar="NAME[=FOLDER]",
        help="urm_ray/reward_benchmarks/README.md has all; repeat",
    )
    group.add_argument("--out", metavar="FOLDER", help="predictions, results and tables")
    group.add_argument("--recompute", action="store_true", default=None, help="take figures from what is in --out")
    group.add_argument("--protocol", metavar="NAME", help="how judges are asked; unified by default")
    group.add_argument("--readout", help="logits or generate: read probabilities, or let the judge speak")
    group.add_argument("--batch", type=int, metavar="N", help="questions in one forward pass")
    group.add_argument("--dtype", help="float32, bfloat16 or float16")
    group.add_argument("--actors", type=int, metavar="N", help="copies of the judge that work at the same time")
    group.add_argument("--num-cpus", type=float, metavar="N", help="CPUs of each")
    group.add_argument("--num-gpus", type=float, metavar="N", help="GPUs of each")
    group.add_argument(
        "--points", action=argparse.BooleanOptionalAction, help="also score each candidate of a pair alone"
    )
    group.add_argument("--limit", type=int, metavar="N", help="at most N records of each benchmark")
    group.add_argument("--judgements", type=int, metavar="K", help="judgements of VL-RewardBench's majority; 9")
    group.add_argument("--seed", type=int, metavar="S", help="of intervals and of the majority's orders")
    group.add_argument("--resamples", type=int, metavar="N", help="draws behind the intervals; 2000")


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends the program where options do not belong together."""
    given = [name for name in _ALL if getattr(arguments, name) is not None]
    if arguments.config is not None:
        if given:
            parser.error(f"--{given[0].replace('_', '-')} does not go with --config")
        return
    if arguments.out is None:
        parser.error("give --config FILE, or --judge PATH --benchmark NAME=FOLDER --out FOLDER")
    if arguments.recompute and (arguments.judge or arguments.benchmark):
        parser.error("--recompute asks no judge: leave --judge and --benchmark out")
    if not arguments.recompute and not (arguments.judge and arguments.benchmark):
        parser.error("--out needs --judge PATH and --benchmark NAME=FOLDER, or --recompute")


def main(arguments: argparse.Namespace) -> int:
    """Asks and measures what the arguments name. Exit status 0, or 1 after one sentence on what went wrong."""
    try:
        config = _config(arguments)
    except ConfigError as error:
        print(printed(f"error: {error}"), file=sys.stderr)
        return 1
    from urm_ray.cli import explain
    from urm_ray.pipeline.evaluate_benchmarks import evaluate_benchmarks, plan_benchmarks, write_results
    from urm_ray.reward_benchmarks.comparison import Measuring
    from urm_ray.run_folder import RunFolder
    from urm_ray.store import join, read_bytes

    try:
        folder = RunFolder.open(arguments.out)
        if arguments.plan:
            print(*plan_benchmarks(config, folder), sep="\n")
            return 0
        with folder.lock():
            if arguments.recompute:
                write_results(folder, Measuring(config.seed, config.judge.resamples, config.judgements))
            else:
                evaluate_benchmarks(config, folder)
            print(printed(read_bytes(join(folder.uri, "results.md")).decode()), end="", flush=True)
        return 0
    except BaseException as error:
        return explain(error, arguments.out)


def _config(arguments: argparse.Namespace) -> BenchmarkConfig:
    judge: dict[str, Any] = {}
    for assignment in arguments.assignments:
        override(judge, assignment)
    judge |= {name: value for name in _JUDGE if (value := getattr(arguments, name)) is not None}
    pool = {name: value for name in _POOL if (value := getattr(arguments, name)) is not None}
    if pool:
        judge["actors"] = judge.get("actors", {}) | pool
    values = {name: value for name in _OWN if (value := getattr(arguments, name)) is not None}
    judges = _named(arguments.judge or (), _name_of, "judges")
    benchmarks = _named(arguments.benchmark or (), lambda text: text, "benchmarks")
    return build_as(BenchmarkConfig, {"judges": judges, "benchmarks": benchmarks, "judge": judge, **values})


def _named(given: Sequence[str], naming: Any, what: str) -> dict[str, str]:
    """NAME=VALUE as names and values; of a value alone the name is found, of a name alone the value is empty."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or ("/" in name and what == "judges"):
            name, value = naming(text), text if what == "judges" else ""
        if name in found:
            raise ConfigError(f"{what}: {name} is there twice; name them apart, as NAME=PATH")
        if what == "judges" and not re.fullmatch(r"[\w.+-]+", name):
            raise ConfigError(f"judges: {name!r} is no name for a folder: letters, digits, dots, + _ and -")
        found[name] = value
    return found


def _name_of(path: str) -> str:
    """The last part of a path that tells judges apart: a run's judge is in RUN/reward-DIGEST/model."""
    name = name_of(path)
    name = name_of(parent_of(path)) if name == "model" else name
    return re.sub(r"[^\w.+-]+", "-", name) if name else "judge"

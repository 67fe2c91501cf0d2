"""The part of the command line that imports published data sets. Parses first and imports what is heavy afterwards."""

from __future__ import annotations

import argparse
import os
import sys
from typing import get_args

from urm_ray.config_file import ConfigError, build_as, load_as
from urm_ray.config_mix import Mix
from urm_ray.config_training import Task
from urm_ray.secrets import printed
from urm_ray.sources.reader import READERS

_OWN = ("path", "media", "limit", "seed", "web", "task", "prompts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("in place of --config, to import published data sets into --out")
    names = ", ".join(sorted(READERS))
    group.add_argument("--source", metavar="NAME", help=f"read one source: {names}, or module:Class")
    group.add_argument(
        "--mix", metavar="FILE", help="read those of a file, such as jobs/configs/unifiedreward_mix.yaml"
    )
    group.add_argument("--path", help="the source's file or folder, or its name on the hub: OWNER/NAME[@REVISION]")
    group.add_argument("--media", metavar="FOLDER", help="where its pictures and clips lie, if not in --path")
    group.add_argument("--out", metavar="FOLDER", help="what is written; usable as prepare.preferences_path")
    group.add_argument(
        "--prompts",
        metavar="FILE",
        help="in place of --out: write its distinct prompts alone, usable as prepare.prompts_path; a .txt, or a .jsonl "
        "where they are about pictures or clips. The source `questions` reads those of chats in LLaVA's form",
    )
    group.add_argument("--task", choices=get_args(Task), help="take what is of this task alone")
    group.add_argument("--limit", metavar="N", type=int, help="take N rows, or prompts, drawn by ids and --seed")
    group.add_argument("--seed", metavar="S", type=int)
    group.add_argument(
        "--web",
        metavar="HOST",
        action="append",
        help="fetch what its records name by URL from this host, a name or *.NAME, by https; may be repeated",
    )


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends the program where options do not belong together."""
    given = [name for name in ("config", "source", "mix") if getattr(arguments, name) is not None]
    if len(given) != 1:
        parser.error("give one of --config, --source and --mix")
    if given == ["config"]:
        _none_of(parser, arguments, ("out", *_OWN))
    elif arguments.out is None and arguments.prompts is None:
        parser.error(f"--{given[0]} needs --out FOLDER")
    elif arguments.out is not None and arguments.prompts is not None:
        parser.error("--prompts stands in place of --out")
    if given == ["mix"]:
        _none_of(parser, arguments, _OWN)
    if given != ["config"] and arguments.plan:
        parser.error("--plan goes with --config")
    if given == ["source"] and arguments.path is None:
        parser.error("--source needs --path FOLDER")
    if given == ["source"] and arguments.assignments:
        parser.error("--set goes with --config and --mix")


def _none_of(parser: argparse.ArgumentParser, arguments: argparse.Namespace, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            parser.error(f"--{name} goes with --source" + (" and --mix" if name == "out" else ""))


def main(arguments: argparse.Namespace) -> int:
    """Imports what the arguments name. Exit status 0, or 1 after one sentence on what went wrong."""
    try:
        mix = _mix(arguments)
    except ConfigError as error:
        where = f" in {arguments.mix}" if arguments.mix else ""
        print(printed(f"error{where}: {error}"), file=sys.stderr)
        return 1
    from urm_ray.cli import explain
    from urm_ray.pipeline.import_prompts import import_prompts
    from urm_ray.pipeline.import_sources import import_sources
    from urm_ray.run_folder import RunFolder

    try:
        if arguments.prompts is not None:
            import_prompts(mix, arguments.prompts)
            return 0
        folder = RunFolder.open(arguments.out)
        with folder.lock():
            import_sources(mix, folder.uri)
        return 0
    except BaseException as error:
        return explain(error, arguments.out or os.path.dirname(arguments.prompts) or ".")


def _mix(arguments: argparse.Namespace) -> Mix:
    if arguments.mix is not None:
        return load_as(Mix, arguments.mix, arguments.assignments)
    source = {"source": arguments.source, "path": arguments.path, "media": arguments.media, "task": arguments.task}
    take = {} if arguments.limit is None else {"take": arguments.limit}
    seed = {} if arguments.seed is None else {"seed": arguments.seed}
    web = {} if arguments.web is None else {"web": {"hosts": arguments.web}}
    return build_as(Mix, {"sources": [source | take], **seed, **web})

"""The command line of exports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from urm_ray.secrets import printed


def main(description: str = "", argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 after one sentence on what went wrong."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", required=True, help="trl, llama-factory, ms-swift, pick-a-pic, videodpo, ...")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pairs", help="the `sifted` folder of a run's pairs stage")
    source.add_argument("--preferences", help="a folder of preferences, such as prepare_data.py writes")
    parser.add_argument("--out", required=True, help="an empty folder, or one that is not there yet")
    parser.add_argument("--frames", type=int, default=8, help="of a clip, where the format knows pictures alone")
    parser.add_argument("--protocol", default="unified", help="in which a judge is asked")
    arguments = parser.parse_args(argv)

    from urm_ray.exports.export import FORMATS, Options, export
    from urm_ray.sources.registry import SourceError
    from urm_ray.store import StoreError

    takes = "pairs" if arguments.pairs else "preferences"
    try:
        if arguments.format in FORMATS and FORMATS[arguments.format].takes != takes:
            raise SourceError(f"{arguments.format} takes --{FORMATS[arguments.format].takes}")
        options = Options(arguments.frames, arguments.protocol)
        found = export(arguments.format, arguments.pairs or arguments.preferences, arguments.out, options)
    except (SourceError, StoreError, ValueError, OSError) as error:
        print(printed(f"error: {next(iter(str(error).splitlines()), type(error).__name__)}"), file=sys.stderr)
        return 1
    for name in ("kept", "left_out"):
        for what, count in found[name].items():
            print(printed(f"{name.replace('_', ' ')}: {count} ({what})"))
    return 0

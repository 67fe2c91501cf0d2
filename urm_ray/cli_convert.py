"""The command line that converts checkpoints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from urm_ray.secrets import printed


def main(description: str = "", argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 after one sentence on what went wrong."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", required=True, dest="source", metavar="NAME_OR_FOLDER", help="what is converted")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="an empty folder, or one that is not there yet")
    arguments = parser.parse_args(argv)

    from urm_ray.llava_next_convert import convert
    from urm_ray.llava_next_format import FormatError
    from urm_ray.store import StoreError

    try:
        advice = convert(arguments.source, arguments.to)
    except (FormatError, StoreError, ValueError, OSError) as error:
        print(printed(f"error: {next(iter(str(error).splitlines()), type(error).__name__)}"), file=sys.stderr)
        return 1
    print(f"written: {arguments.to}")
    if advice:
        print(f"note: {advice}")
    return 0

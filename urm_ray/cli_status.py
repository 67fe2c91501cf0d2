"""The command line that tells where a run stands. It loads neither Ray nor torch, so that it is quick."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from urm_ray.secrets import masked_all, printed


def main(description: str = "", argv: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 after one sentence on what went wrong."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the run's folder: a path, or a URI such as s3://bucket/runs/mine")
    parser.add_argument("--json", action="store_true", help="the same and more, as JSON")
    arguments = parser.parse_args(argv)

    from urm_ray.report.status import standing
    from urm_ray.report.status_lines import status_lines
    from urm_ray.store import StoreError

    uri = arguments.run if "://" in arguments.run else os.path.abspath(arguments.run)
    try:
        found = standing(uri)
    except (StoreError, OSError) as error:
        print(printed(f"error: {error}"), file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(masked_all(found), indent=2))
    else:
        print(*map(printed, status_lines(found)), sep="\n")
    return 0

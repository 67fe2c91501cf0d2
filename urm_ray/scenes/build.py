"""Builds the tiny checkpoints of the embedded world that the package ships.

    python -m urm_ray.scenes.build text_to_image --out urm_ray/scenes/checkpoints/text_to_image
    python -m urm_ray.scenes.build text_to_video --out urm_ray/scenes/checkpoints/text_to_video
    python -m urm_ray.scenes.build vlm --out urm_ray/scenes/checkpoints/vlm
    python -m urm_ray.scenes.build answerer --out urm_ray/scenes/checkpoints/answerer

Each takes up to an hour and a quarter of two CPU cores; text_to_video starts from text_to_image, answerer from vlm.
`--set name=value` changes a build setting. The settings and the measured quality are stored beside the weights as
build.json, with the record of the checkpoint that it started from. The text_to_video that is shipped was made in two
goes, as its build.json tells; the first, whose settings a build from nothing has by default, hardly binds motion to
words.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from urm_ray.config_file import override
from urm_ray.models import resolve

RECORD = "build.json"
KINDS = ("text_to_image", "text_to_video", "vlm", "answerer")


def builder(kind: str) -> tuple[type, Callable[[Any, Path], dict[str, Any]]]:
    """(settings class, build function) of a kind of checkpoint."""
    if kind == "vlm":
        from urm_ray.scenes import build_vlm

        return build_vlm.VlmBuild, build_vlm.build
    if kind == "answerer":
        from urm_ray.scenes import build_answerer

        return build_answerer.AnswererBuild, build_answerer.build
    if kind == "text_to_video":
        from urm_ray.scenes import build_video

        return build_video.VideoBuild, build_video.build
    from urm_ray.scenes import build_diffusion

    return build_diffusion.DiffusionBuild, build_diffusion.build


def history(start: str | None) -> dict[str, Any] | None:
    """The record of the checkpoint that a build starts from, if it has one."""
    file = Path(resolve(start)) / RECORD if start else None
    return json.loads(file.read_text()) if file and file.exists() else None


def forget_folders(checkpoint: Path) -> None:
    """Takes out of its configurations where the models that it started from lay on this machine."""
    for file in checkpoint.rglob("*.json"):
        values = json.loads(file.read_text())
        if isinstance(values, dict) and values.pop("_name_or_path", None):
            file.write_text(json.dumps(values, indent=2) + "\n")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--set", action="append", default=[], dest="assignments", metavar="NAME=VALUE")
    arguments = parser.parse_args(argv)
    values: dict[str, Any] = {}
    for assignment in arguments.assignments:
        override(values, assignment)
    settings_class, build = builder(arguments.kind)
    settings = settings_class(**values)
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = history(getattr(settings, "start", None))
    started = time.monotonic()
    measured = build(settings, arguments.out)
    record = {
        "settings": settings.model_dump(),
        "measured": measured,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "start": start,
    }
    forget_folders(arguments.out)
    (arguments.out / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())

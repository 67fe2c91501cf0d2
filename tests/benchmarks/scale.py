"""Many prompts through models that take no time: what the pipeline itself costs a prompt, a unit and a run.

Candidates are pictures of 8 x 8 pixels, and a judge says of every prompt what it said of its first one; units, files,
ledger, manifests and tables are the pipeline's own. cluster/SCALE.md reckons with what comes out.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import ray
from pipelines import TASK, Pipeline, captions
from rounds import Result
from sleeping import SleepingJudge, SleepingSample

from urm_ray import store
from urm_ray.pipeline import generate_pairs, stream
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.progress import Progress
from urm_ray.pipeline.quarantine import quarantined
from urm_ray.pipeline.run import Run, execute
from urm_ray.pipeline.units import pending, plan
from urm_ray.run_folder import Stage

CANDIDATES = 10
SERVERS = ("gcs_server", "raylet")


def benchmark(
    rounds: int, prompts: int, unit_rows: int, actors: int = 1, again: bool = True, needed: float = 2.5
) -> Result:
    """The generate stage against GPUs that ask for `needed` prompts a second. The rest is in the checks, by round.
    again: whether what the driver does by itself is done once more, to be timed."""
    found = [simulate(prompts, unit_rows, actors, again) for _ in range(rounds)]
    return Result(
        "prompts",
        ("the generate stage", [one["generate"]["prompts a second"] for one in found]),
        ("64 GPUs that make ten pictures a prompt by SDXL", [needed] * rounds),
        10,
        {"rounds": found},
    )


class ReadySample(SleepingSample):
    seconds = 0.0


class AskedJudge(SleepingJudge):
    """Reads every question of every prompt, with a model that takes no time."""

    seconds = 0.0


class ReadyJudge(AskedJudge):
    """Is asked about its first prompt, and says the same of all others."""

    said: dict[str, Any] | None = None

    def _said(self, row: dict[str, Any]) -> dict[str, Any]:
        self.said = self.said or super()._said(row)
        return self.said


class Watch:
    """Memory of this process and of Ray's servers on this machine, by how many rows are done."""

    def __init__(self) -> None:
        children = psutil.Process().children(recursive=True)
        servers = {name: next(child for child in children if child.name() == name) for name in SERVERS}
        self.processes = {"driver": psutil.Process(), **servers}
        self.seen: list[dict[str, float]] = []

    def look(self, rows: int) -> None:
        resident = {name: process.memory_info().rss for name, process in self.processes.items()}
        self.seen.append({"rows": rows, "at": time.monotonic(), "store": _store_bytes(), **resident})

    def grown(self) -> dict[str, int]:
        """Bytes above what there was at the start, at most."""
        return {n: int(max(s[n] for s in self.seen) - self.seen[0][n]) for n in ("store", *self.processes)}

    def slope(self, name: str) -> float:
        """What grows by a row, by least squares over the second half of the rows: what comes first comes once."""
        later = {one["rows"]: one for one in reversed(self.seen) if one["rows"] >= self.seen[-1]["rows"] / 2}
        if len(later) < 3:
            return math.nan
        return float(np.polyfit(list(later), [one[name] for one in later.values()], 1)[0])


def _store_bytes() -> float:
    there, left = (
        resources().get("object_store_memory", 0.0) for resources in (ray.cluster_resources, ray.available_resources)
    )
    return there - left


def watched(watch: Watch, every: float = 1.0) -> type[Progress]:
    """A class of progress lines that looks as rows are done."""

    class Watched(Progress):
        looked = 0.0

        def add(self, rows: int, counted: int) -> None:
            super().add(rows, counted)
            if time.monotonic() - self.looked > every or self.rows == self.total:
                self.looked = time.monotonic()
                watch.look(self.rows)

    return Watched


def simulate(prompts: int, unit_rows: int, actors: int = 1, again: bool = True) -> dict[str, Any]:
    """Prompts through generate and pairs. actors: of each kind. again: as of `benchmark`."""
    connect()
    pipeline = Pipeline(
        ReadySample, ReadyJudge, captions(prompts), unit_rows, actors, candidates=CANDIDATES, pairs={"ties": "point"}
    )
    run = pipeline.run()
    found: dict[str, Any] = {"prompts": prompts, "prompts a unit": unit_rows, "units": 0}
    stages: dict[str, Callable[[Run, Stage], dict[str, Any]]] = {
        "generate": lambda run, stage: generate_pairs.generate(run, stage, TASK),
        "pairs": lambda run, stage: generate_pairs.pairs(run, stage, TASK),
    }
    for name, function in stages.items():
        stage, watch = run.stage(name, TASK), Watch()
        with ExitStack() as patches:
            patches.enter_context(patch.object(generate_pairs, "Sample", ReadySample))
            patches.enter_context(patch.object(generate_pairs, "Judge", ReadyJudge))
            patches.enter_context(patch.object(stream, "Progress", watched(watch)))
            watch.look(0)
            cpu, start = time.process_time(), time.monotonic()
            execute(run, stage, function)
            seconds, cpu = time.monotonic() - start, time.process_time() - cpu
        watch.look(prompts)
        units = plan(_inputs(run, name), unit_rows)
        found["units"] = len(units)
        found[name] = {
            "seconds": round(seconds, 1),
            "prompts a second": round(prompts / seconds, 1),
            "prompts a second, second half": round(1 / watch.slope("at"), 1),
            "driver, ms of CPU a unit": round(1000 * cpu / len(units), 3),
            "grown, MiB": {n: round(b / 2**20, 1) for n, b in watch.grown().items()},
            "bytes a prompt, second half": {n: round(watch.slope(n), 1) for n in watch.processes},
            "at work": stage.manifest().get("at_work"),
            **kept(stage, prompts),
        }
        if again:
            found[name]["passes of the driver, s"] = passes(run, stage, name, units)
        print(f"[scale] {name}: {json.dumps(found[name])}", flush=True)
    shutil.rmtree(run.folder.uri)
    return found


def _inputs(run: Run, name: str) -> list[str]:
    if name == "generate":
        return run.finished("prepare", TASK).units("train_prompts")
    return run.finished("generate", TASK).units("judged")


def kept(stage: Stage, prompts: int) -> dict[str, Any]:
    """Files and bytes of a stage."""
    files = [path for path in Path(stage.uri).rglob("*") if path.is_file()]
    units = [path for path in files if path.suffix == ".parquet"]
    return {
        "files of units": len(units),
        "other files": len(files) - len(units),
        "bytes of units a prompt": round(sum(path.stat().st_size for path in units) / prompts, 1),
        "bytes of tables a prompt": round(sum(p.stat().st_size for p in files if p.suffix == ".csv") / prompts, 1),
        "bytes of the manifest": store.size_of(stage.path("manifest.json")),
    }


def passes(run: Run, stage: Stage, name: str, units: list[dict[str, Any]]) -> dict[str, float]:
    """What the driver does by itself over all units, each timed once more."""
    part = stage.path("judged" if name == "generate" else "sifted")
    work: dict[str, Callable[[], Any]] = {
        "plan": lambda: plan(_inputs(run, name), units[0]["rows"]),
        "pending": lambda: pending(units, part),
        "quarantined": lambda: quarantined(stage, part.rsplit("/", 1)[-1]),
    }
    if name == "generate":
        rows = ["point_verdicts", "scale"]
        work["need_spread"] = lambda: generate_pairs.need_spread(generate_pairs._rows(stage, "judged", rows))
        work["standings"] = lambda: generate_pairs.write_standings(stage)
    else:
        rows = generate_pairs.AUDIT_COLUMNS
        work["audit"] = lambda: generate_pairs.audit(generate_pairs._rows(stage, "sifted", rows), True)
    return {what: round(_seconds(do), 3) for what, do in work.items()}


def _seconds(work: Callable[[], Any]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start

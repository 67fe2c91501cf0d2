"""What an answer costs and is worth: read from the logits against decoded, on the held-out preferences of a run.

python tests/benchmarks/readouts.py RUN [--rows 200] [--set judge.protocol=FILE] [--out FILE]

The run's judge is asked about the same rows with both readouts, 50 rows in turns, a pair in both orders. Prints a table
with n and 95% intervals. A decoded verdict has no probability: its calibration error is that of being certain.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import yaml
from pairing_policies import said

from urm_ray import store
from urm_ray.config import Config
from urm_ray.config_file import build, override
from urm_ray.evaluation.metrics import share
from urm_ray.evaluation.preferences import agreement, ask_preferences
from urm_ray.judge.protocol import Readout
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.run_folder import RunFolder

READOUTS: tuple[Readout, ...] = get_args(Readout)
TOGETHER = 50
Answers = tuple[list[dict[str, Any]], float]
"""Results of `ask_preferences`, and how many questions were answered a second."""
HEADS = ("task", "readout", "pair accuracy", "strict", "human ties called ties", "said a tie", "calibration error")
MORE = ("same in both orders", "point Spearman", "unparsed", "questions a second")


def scorers(folder: str, assignments: list[str]) -> tuple[Config, dict[str, JudgeScorer]]:
    values = yaml.safe_load(store.read_bytes(store.join(folder, "config.yaml")))["config"]
    for assignment in assignments:
        override(values, assignment)
    config = build(values)
    reward = next(stage for stage in RunFolder.open(folder).stages() if stage.name == "reward")
    judges = {readout: config.judge.model_copy(update={"readout": readout}) for readout in READOUTS}
    path = reward.path("model")
    return config, {readout: JudgeScorer.load(path, judge) for readout, judge in judges.items()}


def held_out(folder: str, task: str, count: int) -> list[dict[str, Any]]:
    """At most `count` pairs and as many points."""
    stage = next(stage for stage in RunFolder.open(folder).stages() if stage.name == f"prepare-{task}")
    rows: list[dict[str, Any]] = []
    for part in ("heldout_pairs", "heldout_points"):
        found: list[dict[str, Any]] = []
        for file in stage.units(part):
            found += store.read_table(file).to_pylist()
            if len(found) >= count:
                break
        rows += found[:count]
    return rows


def compare(judges: dict[str, JudgeScorer], rows: list[dict[str, Any]]) -> dict[str, Answers]:
    """What each readout says."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in judges}
    seconds = dict.fromkeys(judges, 0.0)
    for judge in judges.values():
        ask_preferences(judge, rows[:8])
    for number, start in enumerate(range(0, len(rows), TOGETHER)):
        for name in list(judges)[:: 1 if number % 2 else -1]:
            begun = time.perf_counter()
            results[name] += ask_preferences(judges[name], rows[start : start + TOGETHER])
            seconds[name] += time.perf_counter() - begun
    return {name: (found, sum(len(r["outcomes"]) for r in found) / seconds[name]) for name, found in results.items()}


def line(task: str, readout: str, answers: Answers) -> str:
    results, rate = answers
    figures: dict[str, Any] = agreement(results, 0, 2000)
    pairs = [r for r in results if r["kind"] == "pair"]
    verdicts = [outcome for r in pairs for outcome in r["outcomes"]]
    error = figures["calibration_error"]
    if error["value"] is None:
        kinds = (figures["pair_accuracy_strict"], figures["tie_accuracy"])
        right = sum(round((one["value"] or 0) * one["n"]) for one in kinds)
        error = share(len(pairs) - right, len(pairs))
    shown = [figures[name] for name in ("pair_accuracy", "pair_accuracy_strict", "tie_accuracy")]
    shown += [share(verdicts.count("tie"), len(verdicts)), error, figures["order_agreement"], figures["point_spearman"]]
    return f"| {task} | {readout} | {' | '.join(map(said, shown))} | {figures['unparsed']} | {rate:.1f} |"


def table(folder: str, assignments: list[str], count: int) -> Iterator[str]:
    config, judges = scorers(folder, assignments)
    yield f"| {' | '.join(HEADS + MORE)} |"
    yield f"|{'---|' * len(HEADS + MORE)}"
    for task in config.tasks:
        for readout, answers in compare(judges, held_out(folder, task, count)).items():
            yield line(task, readout, answers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a run that trained its judge")
    parser.add_argument("--rows", type=int, default=200, help="pairs of each task, and as many points")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings other than the run's")
    parser.add_argument("--out", type=Path, help="a file for the table, beside the standard output")
    asked = parser.parse_args()
    lines = []
    for one in table(asked.run, asked.set, asked.rows):
        lines.append(one)
        print(one, flush=True)
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

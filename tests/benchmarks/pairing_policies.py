"""What pairs cost and how good they are: every way to make them, with budgets, of the candidates of a finished run.

python tests/benchmarks/pairing_policies.py RUN [--task image_generation] [--prompts 200] [--set judge.protocol=FILE]
    [--seconds 170] [--out FILE]

The run's judge is asked once about all pairs of each prompt's candidates, in both orders, and for all points; and, as
the published procedure has it, in one order with decoded answers. Each policy is then replayed on those verdicts. The
verdicts are kept under the temporary folder: after `--seconds` the same command goes on from there. How good a pair is
says the run's independent scorer (`policies.TASK.evaluate`). Prints a table, with n and 95% intervals over prompts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, permutations
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import yaml

from urm_ray import schema, store
from urm_ray.config import Config
from urm_ray.config_file import build, override
from urm_ray.config_pairs import PairsConfig
from urm_ray.evaluation.metrics import Figure, mean, share
from urm_ray.evaluation.scorer import figures_of, load_scorer
from urm_ray.judge.equal import first_equals
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.pairs.asking import interview
from urm_ray.pairs.pairing import Pair
from urm_ray.pairs.ranking import adjacent
from urm_ray.pairs.sifting import sift
from urm_ray.pipeline.mix_report import learned_scales
from urm_ray.run_folder import RunFolder

CALLS = (None, 50, 30, 20, 12)
POLICIES: dict[str, dict[str, Any]] = {
    "random": {"ranking": "none", "points": False, "construction": "random"},
    "point": {"ranking": "none", "construction": "point"},
    "best_of": {"ranking": "none", "construction": "best_of"},
    "adjacent, pair": {"points": False, "construction": "pair"},
    "adjacent, pair_point, one order": {"both_orders": False},
    "adjacent, pair_point": {},
    "adjacent, pair_point, ties: point": {"ties": "point"},
    "swiss, pair_point": {"ranking": "swiss"},
    "swiss, bradley_terry": {"ranking": "swiss", "points": False, "construction": "bradley_terry"},
    "swiss, bradley_terry, one order": {
        "ranking": "swiss",
        "points": False,
        "construction": "bradley_terry",
        "both_orders": False,
    },
    "all, pair_point": {"ranking": "all"},
    "all, bradley_terry": {"ranking": "all", "points": False, "construction": "bradley_terry"},
    "all, bradley_terry, one order": {
        "ranking": "all",
        "points": False,
        "construction": "bradley_terry",
        "both_orders": False,
    },
}
VERDICTS = ["pair_verdicts", "point_verdicts"]
UNIT = 10


class Recorded:
    """A `pairs.asking.Sitting` that answers with verdicts that are there already. row: of `schema.JUDGED_SET`."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row, self.count, self.spent = row, len(row["candidates"]), 0
        self.first = first_equals(row["candidates"])
        self.pairs = {(v["first"], v["second"]): v for v in row["pair_verdicts"]}
        self.points = {v["index"]: v for v in row["point_verdicts"]}
        shown = {i for i, v in self.points.items() if v["outcome"] != "media_error"}
        self.able = tuple(sorted(i for i in shown if self.first[i] == i))
        self.asked: set[Pair | int] = set()
        self.said: dict[str, list[dict[str, Any]]] = {name: [] for name in VERDICTS}

    def _new(self, orders: Iterable[Pair], points: Iterable[int]) -> set[Pair | int]:
        pairs = {(self.first[a], self.first[b]) for a, b in orders}
        able = {(a, b) for a, b in pairs if a != b and a in self.able and b in self.able}
        return (able | {self.first[i] for i in points if self.first[i] in self.able}) - self.asked

    def cost(self, orders: Iterable[Pair], points: Iterable[int]) -> int:
        return len(self._new(orders, points))

    def ask(self, orders: Sequence[Pair], points: Iterable[int]) -> list[dict[str, Any]]:
        points = list(points)
        new = self._new(orders, points)
        self.spent += len(new)
        self.asked |= new
        rows = [self.pairs[order] for order in orders]
        self.said["pair_verdicts"] += rows
        self.said["point_verdicts"] += [
            self.points[i] for i in points if self.points[i] not in self.said["point_verdicts"]
        ]
        return rows


class Record:
    """The candidates of a finished run with all verdicts of its judge, and what its independent scorer says of them."""

    def __init__(self, folder: str, task: str, prompts: int, assignments: list[str]) -> None:
        values = yaml.safe_load(store.read_bytes(store.join(folder, "config.yaml")))["config"]
        for assignment in assignments:
            override(values, assignment)
        self.config, self.task, self.prompts = build(values), task, prompts
        stages = {stage.name: stage for stage in RunFolder.open(folder).stages()}
        self.judged, self.reward = stages[f"generate-{task}"], stages["reward"]
        name = schema.digest("pairing", self.judged.digest, self.reward.digest, assignments)
        self.folder = str(Path(tempfile.gettempdir()) / "urm_ray_benchmarks" / name)

    def _sets(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Numbered groups of candidate sets."""
        names = [*schema.CANDIDATE_SET.names, "judge_digest"]
        rows = (row for file in self.judged.units("judged") for row in store.read_table(file, names).to_pylist())
        wanted = islice(rows, self.prompts)
        number = 0
        while group := list(islice(wanted, UNIT)):
            yield number, group
            number += 1

    def _scorer(self, readout: str) -> JudgeScorer:
        judge = self.config.judge.model_copy(update={"readout": readout, "max_new_tokens": 40})
        return JudgeScorer.load(self.reward.path("model"), judge, scales=learned_scales(self.reward))

    def ask(self, seconds: float) -> bool:
        """Asks what is not known yet; False where there was no time for all of it."""
        ends, scorers = time.monotonic() + seconds, {}
        for number, group in self._sets():
            for readout in ("logits", "generate"):
                path = store.join(self.folder, f"{readout}-{number:03d}.parquet")
                if store.exists(path):
                    continue
                if time.monotonic() > ends:
                    return False
                scorers[readout] = scorers.get(readout) or self._scorer(readout)
                rows = [row | self._said(scorers[readout], row, readout) for row in group]
                store.write_table(path, schema.table_of(rows, schema.JUDGED_SET))
        return True

    def _said(self, scorer: JudgeScorer, row: dict[str, Any], readout: str) -> dict[str, Any]:
        count = len(row["candidates"])
        return scorer.judge_set(row, adjacent(count) if readout == "generate" else list(permutations(range(count), 2)))

    def rows(self, readout: str) -> list[dict[str, Any]]:
        files = [store.join(self.folder, f"{readout}-{number:03d}.parquet") for number, _ in self._sets()]
        return [row for file in files for row in store.read_table(file).to_pylist()]

    def rated(self) -> dict[str, dict[int, float]]:
        """The scorer's headline figure of each candidate, by prompt."""
        settings = self.config.policy(self.task).evaluate  # type: ignore[arg-type]
        scorer = load_scorer(settings.scorer, settings.scorer_model)
        return {
            row["prompt_id"]: {
                f["index"]: f["value"] for f in figures_of(scorer, row) if f["name"] == settings.headline
            }
            for _, group in self._sets()
            for row in group
        }


def replay(rows: Iterable[dict[str, Any]], rated: dict[str, dict[int, float]], pairs: PairsConfig) -> dict[str, Any]:
    """Questions a prompt and how good the pairs are, of one policy."""
    asked, kept, leads = [], 0, []
    for row in rows:
        sitting = Recorded(row)
        interview(sitting, pairs)
        asked.append(sitting.spent)
        found = sift(row | sitting.said, pairs)
        if found["dropped"] is None:
            kept += 1
            of = rated[row["prompt_id"]]
            leads.append(of[found["chosen"]["index"]] - of[found["rejected"]["index"]])
    return {
        "asked": sum(asked) / len(asked),
        "most": max(asked),
        "kept": share(kept, len(asked)),
        "better": share(sum(lead > 0 for lead in leads), sum(lead != 0 for lead in leads)),
        "margin": mean(leads, 0),
    }


def table(record: Record) -> Iterator[str]:
    rated, rows = record.rated(), record.rows("logits")
    yield "| policy | calls | asked | prompts with a pair | chosen is better, of pairs told apart | mean lead |"
    yield "|---|---|---|---|---|---|"
    published = Config(paper_exact=True).pairs
    yield line("paper_exact", published, replay(record.rows("generate"), rated, published))
    for name, settings in POLICIES.items():
        last = float("inf")
        for calls in CALLS:
            pairs = PairsConfig(**settings)
            if calls is not None and PairsConfig(**settings).asks:
                pairs = PairsConfig(**settings, calls=calls)
            found = replay(rows, rated, pairs)
            if calls is None or found["asked"] < last:
                yield line(name, pairs, found)
            last = min(last, found["asked"])


def line(name: str, pairs: PairsConfig, found: dict[str, Any]) -> str:
    figures = " | ".join(said(found[key]) for key in ("kept", "better", "margin"))
    return f"| {name} | {pairs.calls or 'all'} | {found['asked']:.1f} | {figures} |"


def said(figure: Figure) -> str:
    low, high = figure["ci95"]
    return "none" if figure["value"] is None else f"{figure['value']:.3f} ({low:.3f} to {high:.3f}), n {figure['n']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a finished run that trained its judge")
    parser.add_argument("--task", default="image_generation")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings other than the run's")
    parser.add_argument("--seconds", type=float, default=1e9, help="of asking; the next call goes on")
    parser.add_argument("--out", type=Path, help="a file for the table, beside the standard output")
    asked = parser.parse_args()
    record = Record(asked.run, asked.task, asked.prompts, asked.set)
    if not record.ask(asked.seconds):
        print("more is to be asked: run the same command again", file=sys.stderr)
        return 3
    lines = list(table(record))
    print("\n".join(lines))
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Stage 3: the judge and its base model on held-out preferences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import ray

from urm_ray import store
from urm_ray.config import JudgeConfig
from urm_ray.evaluation.preferences import agreement, ask_preferences, unanswered
from urm_ray.models import checked
from urm_ray.pipeline.attempts import Attempts, Care
from urm_ray.pipeline.context import connect
from urm_ray.pipeline.counts import found_in, noted, of_row
from urm_ray.pipeline.ledger import SharedLedger
from urm_ray.pipeline.placement import need_pools
from urm_ray.pipeline.pools import bind, judge_pool, use_threads
from urm_ray.pipeline.progress import Progress
from urm_ray.pipeline.quarantine import quarantined, write_failures
from urm_ray.pipeline.run import Run
from urm_ray.pipeline.units import file_name, pending
from urm_ray.run_folder import Stage

RESULT = pa.schema(
    [
        ("preference_id", pa.string()),
        ("task", pa.string()),
        ("kind", pa.string()),
        ("label", pa.string()),
        ("score", pa.float32()),
        ("outcomes", pa.list_(pa.string())),
        ("p_first", pa.float32()),
        ("p_second", pa.float32()),
        ("p_tie", pa.float32()),
        ("judged", pa.float32()),
        ("texts", pa.list_(pa.string())),  # what the judge said in each order, where it decoded an answer
        ("reasons", pa.list_(pa.string())),  # why it gave no verdict in an order
    ]
)


class AskUnit:
    """Puts one file of held-out preferences to a judge and writes its answers. stage: under whose name preferences
    without a verdict are put aside."""

    def __init__(
        self,
        config: dict[str, Any],
        path: str,
        folder: str,
        num_cpus: float,
        min_mass: float,
        care: Care | None = None,
        stage: str = "judge",
    ) -> None:
        from urm_ray.judge.scorer import JudgeScorer

        use_threads(num_cpus)
        self.attempts = Attempts("asking about", care)
        self.scorer, self.folder = JudgeScorer.load(path, JudgeConfig(**config), min_mass), folder
        self.stage = stage
        self.spent = self.scorer.spent

    def __call__(self, batch: pa.Table) -> pa.Table:
        counts = []
        for unit in batch.to_pylist():
            rows = store.read_table(unit["file"]).to_pylist()
            results = self.attempts.together(
                f"unit {unit['unit']}", len(rows), partial(self._joint, rows), partial(self._each, rows)
            )
            table, file = pa.Table.from_pylist(results, RESULT), file_name(unit["unit"])
            write_failures(self.folder, file, table, self.stage)  # first: the unit's own file is what makes it done
            store.write_table(store.join(self.folder, file), table)
            counts.append(noted(pa.table({"rows": [len(rows)]}), "counts", found_in(table)))
        return pa.concat_tables(counts)

    def _joint(self, rows: list[dict[str, Any]], aside: dict[str, str]) -> list[dict[str, Any]]:
        said = iter(ask_preferences(self.scorer, [row for row in rows if row["preference_id"] not in aside]))
        reasons = [aside.get(row["preference_id"]) for row in rows]
        return [next(said) if why is None else unanswered(row, why) for row, why in zip(rows, reasons, strict=True)]

    def _each(self, rows: list[dict[str, Any]]) -> Iterator[tuple[str, Callable[[], Any]]]:
        for row in rows:
            yield row["preference_id"], partial(ask_preferences, self.scorer, [row])


def _ask(run: Run, stage: Stage, name: str, path: str, files: list[str], min_mass: float) -> None:
    """Puts all files to the model at `path`, as the part `name` of the stage."""
    units: list[dict[str, Any]] = [{"unit": n, "file": file} for n, file in enumerate(files)]
    folder = stage.path(name)
    todo = pending(units, folder)
    if not todo:
        return
    connect()
    judge = run.config.judge
    rows = dict(zip(files, store.row_counts(files), strict=True))
    left = sum(rows[u["file"]] for u in todo)
    title = f"{stage.name}: {name}"
    need_pools(title, {"judge.actors": judge.actors})
    progress = Progress(title, sum(rows.values()), sum(rows.values()) - left, stage=stage)
    ledger = SharedLedger(title, left, run.config.run.put_aside_share)
    asked = ray.data.from_items(todo, override_num_blocks=len(todo)).map_batches(
        bind(
            AskUnit,
            config=judge.model_dump(),
            path=path,
            folder=folder,
            num_cpus=judge.actors.num_cpus,
            min_mass=min_mass,
            care=Care(ledger, judge.actors.row_limit_s),
            stage=stage.name,
        ),
        batch_size=1,
        batch_format="pyarrow",
        **judge_pool(judge.actors, judge),
    )
    for report in asked.iter_rows():
        progress.add(report["rows"], of_row(report))
    progress.show()


def evaluate_judge(run: Run, stage: Stage) -> dict[str, Any]:
    trained = run.finished("reward")
    prepared = [run.finished("prepare", task) for task in run.config.tasks]
    files = [file for part in ("heldout_pairs", "heldout_points") for one in prepared for file in one.units(part)]
    figures: dict[str, dict[str, Any]] = {task: {} for task in run.config.tasks}
    judge = run.config.judge
    # The base model has never been told the answers' form, so it is made to choose among them.
    models = {
        "judge": (trained.path("model"), judge.min_mass),
        "base": (checked(run.config.judge_base.path), 0.0),
    }
    for name, (path, min_mass) in models.items():
        _ask(run, stage, name, path, files, min_mass)
        results = stage.rows(name).to_pylist()
        for task in run.config.tasks:
            own = [result for result in results if result["task"] == task]
            found = figures[task][name] = agreement(own, run.config.run.seed, judge.resamples)
            shown = {k: v["value"] for k, v in found.items() if isinstance(v, dict)}
            print(f"[judge] {name}, {task}: {shown}", flush=True)
    return {"figures": figures, "quarantined": {name: quarantined(stage, name) for name in models}}

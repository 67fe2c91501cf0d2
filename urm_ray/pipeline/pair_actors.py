"""What runs once on each preference pair before a training, as Ray Data actors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from urm_ray import schema
from urm_ray.config import Config
from urm_ray.config_training import Task
from urm_ray.pipeline.attempts import Attempts, Care
from urm_ray.pipeline.pools import use_threads
from urm_ray.pipeline.units import extend, mark_unit, read_unit


class Reference:
    """Adds the `schema.REFERENCE` columns to the pairs of units of sifted sets; a dropped row is unfit."""

    def __init__(
        self,
        config: dict[str, Any],
        task: Task,
        path: str,
        reference_digest: str,
        num_cpus: float,
        care: Care | None = None,
    ) -> None:
        from urm_ray.training.logps import ReferenceLogps

        use_threads(num_cpus)
        self.attempts = Attempts("reading for the reference", care)
        policy = Config(**config).policy(task)
        self.reference = ReferenceLogps(path, policy.vlm_dpo, reference_digest, policy.clips, policy.device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables([self._unit(unit) for unit in batch.to_pylist()])

    def _unit(self, unit: dict[str, Any]) -> pa.Table:
        rows = read_unit(unit, [*schema.ANSWER_PAIR.names[: -len(schema.REFERENCE)], "dropped"])
        made = self.attempts.together(
            f"unit {unit['unit']}", len(rows), partial(self._joint, rows), partial(self._each, rows)
        )
        return made.drop_columns(["dropped"])

    def _joint(self, rows: pa.Table, aside: dict[str, str]) -> pa.Table:
        reasons = [
            dropped or aside.get(i)
            for dropped, i in zip(rows["dropped"].to_pylist(), rows["prompt_id"].to_pylist(), strict=True)
        ]
        kept = pa.array([reason is None for reason in reasons])
        nothing = dict.fromkeys(schema.REFERENCE.names)
        unfit = [nothing | {"unfit": reason} for reason in reasons if reason is not None]
        left = extend(rows.filter(pc.invert(kept)), unfit, list(schema.REFERENCE))
        return pa.concat_tables([self.reference(rows.filter(kept)), left])

    def _each(self, rows: pa.Table) -> Iterator[tuple[str, Callable[[], Any]]]:
        for n, prompt_id in enumerate(rows["prompt_id"].to_pylist()):
            if rows["dropped"][n].as_py() is None:
                yield prompt_id, partial(self.reference, rows.slice(n, 1))


class Encode:
    """Turns units of sifted sets into `schema.ENCODED_PAIR` rows of the same units."""

    def __init__(
        self, config: dict[str, Any], task: Task, path: str, num_cpus: float, care: Care | None = None
    ) -> None:
        from urm_ray.training.encode_pairs import COLUMNS, EncodePairs

        use_threads(num_cpus)
        self.attempts = Attempts("encoding", care)
        settings = Config(**config)
        policy = settings.policy(task)
        self.encode = EncodePairs(path, policy.dpo, settings.run.seed, policy.device, policy.sampler)
        self.columns = COLUMNS

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pa.concat_tables([mark_unit(self._unit(unit), unit) for unit in batch.to_pylist()])

    def _unit(self, unit: dict[str, Any]) -> pa.Table:
        rows = read_unit(unit, self.columns)
        return pa.concat_tables(
            [
                self.attempts.each(i, partial(self.encode, rows.slice(n, 1)), partial(self._left_out, rows.slice(n, 1)))
                for n, i in enumerate(rows["prompt_id"].to_pylist())
            ]
        )

    @staticmethod
    def _left_out(row: pa.Table, reason: str) -> pa.Table:
        """A pair that cannot be encoded, as one that is dropped."""
        nothing = dict.fromkeys(schema.ENCODED_PAIR.names)
        known = row.select(["pair_id", "prompt_id"]).to_pylist()[0]
        return schema.table_of([nothing | known | {"dropped": reason}], schema.ENCODED_PAIR)

"""VL-RewardBench: which of two answers to a question about a picture is better (arXiv 2411.17451).

Parquet as on the hub, split `test`, or the JSON copy that UnifiedReward keeps, with the pictures in files. A record has
`id`, `query`, `response` (two), `image` and `human_ranking`: [0, 1] if the first answer is the better one, [1, 0] if
the second is. In 1,245 of the 1,250 it is the first, so a judge that always says "first" has 99.6% in one order. The
group follows from the id (official code: cal.py); 25 ids occur twice, with other answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from urm_ray.evaluation.accuracy import counted, over_orders, pair_figures, per_cluster
from urm_ray.evaluation.calls import Row, judgements, label_of
from urm_ray.evaluation.groups import check_figures
from urm_ray.evaluation.metrics import macro
from urm_ray.reward_benchmarks.comparison import Benchmark, Comparison, Measuring, in_group, overall
from urm_ray.reward_benchmarks.layouts import beside, open_records
from urm_ray.schema import digest
from urm_ray.sources.fields import FieldError, Record, as_number, drafts_of, listed, text, texts
from urm_ray.sources.hub_parquet import picture
from urm_ray.sources.reader import Unit
from urm_ray.sources.registry import Rejected

GROUPS = {
    "wildvision": "general/wildvision-battle",
    **dict.fromkeys(("LRVInstruction", "jailbreak", "politics", "svit"), "general/vlfeedback"),
    "hallucination": "hallucination/povid",
    "RLAIF": "hallucination/rlaif-v",
    "RLHF": "hallucination/rlhf-v",
    "mathverse": "reasoning/mathverse",
    "mmmu": "reasoning/mmmu",
}
"""The group by the beginning of an id. One that begins otherwise is put aside: UnifiedReward's scripts count as general
what they do not know, and the 448 items of `hallucination` with it."""

_NAMES = {"general": "General", "hallucination": "Hallucination", "reasoning": "Reasoning"}


def group_of(item_id: str) -> str:
    """The group of an id by what stands before its first "_" or "-"; FieldError for one that is not known."""
    beginning = re.split("[_-]", item_id, maxsplit=1)[0]
    if beginning not in GROUPS:
        raise FieldError("unknown group", beginning[:40])
    return GROUPS[beginning]


class VLRewardBench(Benchmark):
    title = "VL-RewardBench"
    hub = "MMInstruction/VL-RewardBench"
    sizes: ClassVar[Mapping[str, int]] = {"general": 183, "hallucination": 749, "reasoning": 318}

    def __init__(self, path: str) -> None:
        columns = ["id", "query", "response", "image", "human_ranking"]
        self.records = open_records(path, columns, ("**/test*.parquet", "**/test*/*.parquet"), "**/data.json")

    def units(self, rows: int) -> Iterator[Unit]:
        return self.records.units(rows)

    def items(self, unit: Unit) -> Iterator[Comparison | Rejected]:
        return drafts_of(self.records.read(unit), _item)

    @classmethod
    def measure(cls, rows: Sequence[Row], how: Measuring) -> dict[str, Any]:
        """Accuracy of each group, overall, which is the mean by items, and macro, the mean of the groups; and the same
        of the official majority: GroupError if groups and whole do not go together."""
        parts = {name: [row for row in rows if in_group(row, name)] for name in cls.sizes}
        groups = {name: counted(own, over_orders, how.seed, how.resamples) for name, own in parts.items()}
        whole = counted(rows, over_orders, how.seed, how.resamples)
        check_figures(groups, whole)
        own_macro = macro([per_cluster(part, over_orders) for part in parts.values()], how.seed, how.resamples)
        official = majority_figures(parts, how)
        columns = {_NAMES[name]: found for name, found in groups.items()} | {"Overall": whole, "Macro": own_macro}
        voted = {f"{name}, majority": official[name.lower()] for name in ("Overall", "Macro")}
        figures = pair_figures(rows, how.seed, how.resamples)
        return {"columns": columns | voted, "figures": figures | {"macro": own_macro, "majority": official}}


def majority(row: Row, how: Measuring) -> str:
    """What most of the judgements of an item, each in an order drawn from its id, have to say (cal.py): `agree` if more
    than half of them name the better answer, `reject` if more than half name the other, else `none`."""
    said = judgements(row, how.judgements, how.seed)
    right = sum(call == label_of(row) for call in said)
    wrong = sum(call in ("first", "second") and call != label_of(row) for call in said)
    return "agree" if 2 * right > len(said) else "reject" if 2 * wrong > len(said) else "none"


def majority_figures(parts: Mapping[str, Sequence[Row]], how: Measuring) -> dict[str, Any]:
    """Accuracy of majorities, of each group, overall and macro; items without one leave the denominator, as in cal.py,
    and are counted in `none`."""
    rows = [row for part in parts.values() for row in part]
    found = {row["item_id"]: majority(row, how) for row in rows}

    def count(row: Row) -> tuple[float, float]:
        said = found[row["item_id"]]
        return said == "agree", said != "none"

    groups = {name: counted(part, count, how.seed, how.resamples) for name, part in parts.items()}
    whole = counted(rows, count, how.seed, how.resamples)
    check_figures(groups, whole)
    mean = macro([per_cluster(part, count) for part in parts.values()], how.seed, how.resamples)
    left_out = list(found.values()).count("none")
    return groups | {"overall": whole, "macro": mean, "none": left_out, "judgements": how.judgements}


def _item(key: str, record: Record) -> Iterator[Comparison]:
    name, question, answers = text(record, "id"), text(record, "query"), texts(record, "response")
    ranking = [as_number(one, "human_ranking") for one in listed(record, "human_ranking")]
    if sorted(ranking) != [0, 1] or len(answers) != 2:
        raise FieldError("not two answers and their ranks", f"{len(answers)} answers, {ranking!r}"[:80])
    asked = question.replace("<image>", "").strip()
    yield Comparison(
        item_id=f"{name}:{digest(question, sorted(answers))[:8]}",
        task="image_understanding",
        prompt=asked,
        candidates=(answers[0], answers[1]),
        labels=overall("first" if ranking[0] == 0 else "second"),
        context=(beside(key, picture(record, "image")),),
        group=group_of(name),
        cluster=name,
    )

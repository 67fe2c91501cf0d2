from pathlib import Path
from typing import Any

import pytest
from sources.native_images import write_hpd

from urm_ray.sources.check import check_preference
from urm_ray.sources.registry import PARTS, Part, Rejected, SourceError, source

WANTED: dict[str, int] = {"train_pairs": 10, "train_points": 10, "heldout_pairs": 3, "heldout_points": 1}


def read(folder: Path, task: Any = "image_generation", seed: int = 0, **wanted: int) -> dict[Part, list[Any]]:
    found = source("hpd", str(folder), seed, task, WANTED | wanted)
    return {part: list(found.read(part, 0, found.size(part))) for part in PARTS if found.size(part)}


def prompts(rows: list[Any]) -> set[str]:
    return {row["prompt"] for row in rows if not isinstance(row, Rejected)}


@pytest.mark.parametrize("seed", range(4))
def test_a_published_data_set_is_a_source_of_a_run(tmp_path, seed):
    write_hpd(tmp_path)
    parts = read(tmp_path, seed=seed)
    assert set(parts) == {"train_pairs", "heldout_pairs"}
    held, trained = (prompts(parts[part]) for part in ("heldout_pairs", "train_pairs"))
    assert held | trained == {"more for the first", "more for the second", "as many", "a webp file"}
    assert not held & trained
    rows = [row for part in parts.values() for row in part if not isinstance(row, Rejected)]
    assert all(check_preference(row) is None for row in rows)


def test_every_broken_record_is_put_aside_once_with_its_reason(tmp_path):
    write_hpd(tmp_path)
    rejected = [row for part in read(tmp_path).values() for row in part if isinstance(row, Rejected)]
    assert len(rejected) == 9
    assert len({row.row_id for row in rejected}) == 9
    assert {"no votes", "empty prompt", "missing picture", "undecodable picture"} <= {row.reason for row in rejected}


def test_any_range_of_rows_is_the_same_as_in_the_whole(tmp_path):
    write_hpd(tmp_path)
    found = source("hpd", str(tmp_path), 0, "image_generation", WANTED)
    whole = list(found.read("heldout_pairs", 0, 99))
    assert [row for n in range(len(whole)) for row in found.read("heldout_pairs", n, n + 1)] == whole


def test_the_seed_decides_what_is_held_out_and_the_task_what_there_is(tmp_path):
    write_hpd(tmp_path)
    held = {frozenset(prompts(read(tmp_path, seed=seed)["heldout_pairs"])) for seed in range(8)}
    assert len(held) > 1
    rows = [row for part in read(tmp_path, "video_generation").values() for row in part]
    assert all(isinstance(row, Rejected) for row in rows)


def test_what_is_wanted_is_a_limit(tmp_path):
    write_hpd(tmp_path)
    assert len(read(tmp_path, train_pairs=2)["train_pairs"]) == 2


def test_a_source_without_a_path_says_what_is_missing():
    with pytest.raises(SourceError, match=r"prepare\.preferences_path: the source hpd needs a folder or file"):
        source("hpd", None, 0, "image_generation", WANTED)

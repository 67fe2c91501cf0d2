"""Data of a run on an object store: what its files name is found beside them, as it is in a folder."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from helpers import TASK, picture

from urm_ray import schema, store
from urm_ray.config import PrepareConfig
from urm_ray.local_copies import upload_dir
from urm_ray.pipeline.actors import ReadCandidates
from urm_ray.pipeline.prepare import part_source
from urm_ray.pipeline.units import plan
from urm_ray.sources.registry import Rejected

NAMES = ["shots/10.png", "shots/../20.png", "missing.png", "broken.png", "shots", "a?b.png"]
OUTSIDE = ["../secret.png", "/etc/hostname", "s3://bucket/secret.png", "shots/../../secret.png"]


@pytest.fixture
def data(tmp_path: Path, objects) -> tuple[str, str]:
    """A folder, and what lies in the bucket after it was uploaded, with a picture above it that no name may reach."""
    folder = tmp_path / "data"
    (folder / "shots").mkdir(parents=True)
    for place, shade in (("shots/10.png", 10), ("20.png", 20), ("../secret.png", 30)):
        picture(shade).save(folder / place)
    (folder / "broken.png").write_bytes(b"<html>404</html>")
    lines = [
        {"prompt": "a cat", "candidates": [*NAMES, *OUTSIDE]},
        {"prompt": "what?", "images": ["shots/10.png", "20.png"]},
        *({"prompt": f"where? {name}", "images": [name]} for name in OUTSIDE),
    ]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "labels.csv").write_text("prompt,image_1,image_2,label\na cat,shots/10.png,20.png,first\n")
    upload_dir(str(folder), objects.uri("sets", "data"))
    store.write_bytes(objects.uri("sets", "secret.png"), (tmp_path / "secret.png").read_bytes())
    return str(folder), objects.uri("sets", "data")


def prompts(place: str) -> list:
    config = PrepareConfig(
        prompts="jsonl", prompts_path=store.join(place, "mine.jsonl"), train_prompts=100, heldout_prompts=0
    )
    source = part_source(config.model_dump(), 0, TASK, "train_prompts")
    return list(source.read("train_prompts", 0, source.size("train_prompts")))


def test_prompts_have_the_pictures_that_lie_below_the_prefix_of_their_file_and_no_others(data):
    local, there = map(prompts, data)
    assert there == local
    rows = {row["prompt"]: row for row in there if not isinstance(row, Rejected)}
    assert [len(rows[prompt]["context"]) for prompt in ("a cat", "what?")] == [0, 2]
    refused = [row for row in there if isinstance(row, Rejected)]
    assert len(refused) == len(OUTSIDE)


def test_candidates_are_read_from_below_the_prefix_of_their_file(data, tmp_path):
    folder = data[0]
    (row,) = [row for row in prompts(folder) if isinstance(row, dict) and row["prompt"] == "a cat"]
    store.write_table(str(tmp_path / "unit-000000.parquet"), schema.table_of([row], schema.PROMPT))
    units = pa.Table.from_pylist(plan([str(tmp_path / "unit-000000.parquet")], 1))
    found = [
        ReadCandidates(store.join(place, "mine.jsonl"), TASK, "digest")(units)["candidates"].to_pylist()[0]
        for place in data
    ]
    local, there = ([(c["error"], c["media"] and c["media"]["sha256"]) for c in made] for made in found)
    assert [sha for _, sha in there] == [sha for _, sha in local]
    assert [error is None for error, _ in there] == [True, True, *[False] * 8]
    assert there[2][0] == local[2][0] == "unreadable picture: missing.png: No such file or directory"
    assert [error for error, _ in there[6:]] == [error for error, _ in local[6:]]


def test_labels_in_a_csv_have_the_pictures_that_lie_beside_it(data):
    def pairs(place: str) -> list:
        path = store.join(place, "labels.csv")
        config = PrepareConfig(preferences="csv", preferences_path=path, heldout_pairs=9)
        return list(part_source(config.model_dump(), 0, TASK, "heldout_pairs").read("heldout_pairs", 0, 1))

    local, there = map(pairs, data)
    assert there == local
    assert [c["media"]["width"] for c in there[0]["candidates"]] == [8, 8]

"""A Ray for the trainings, and what they train on: rows written straight from the embedded world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from train.trainings import PAIRS, write_answers

from urm_ray import schema, store
from urm_ray.run_folder import Stage
from urm_ray.scenes.grammar import misread, parse
from urm_ray.scenes.preferences import Scenes
from urm_ray.scenes.render import render


@pytest.fixture(scope="session")
def ray_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray whose workers find trackers that need no network."""
    import ray

    from urm_ray.pipeline.context import connect

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path_factory.mktemp('tracked')}/mlruns")
        environment.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        environment.setenv("WANDB_MODE", "offline")
        environment.setenv("WANDB_SILENT", "true")
        connect()
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def preference_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pair and point rows in one parquet file."""
    source = Scenes(None, 3, "image_generation", {})
    rows = [row for part in ("train_pairs", "train_points") for row in source.read(part, 0, 16)]  # type: ignore[arg-type]
    file = str(tmp_path_factory.mktemp("preferences") / "unit-000000.parquet")
    store.write_table(file, schema.table_of([r for r in rows if isinstance(r, dict)], schema.PREFERENCE))
    return file


def pair_row(number: int) -> dict[str, Any]:
    """A preference pair whose winner shows its caption and whose loser does not."""
    import random

    from urm_ray.media import encode_image

    rng = random.Random(number)
    caption = next(iter(Scenes(None, 0, "image_generation", {}).read("train_prompts", number, number + 1)))["prompt"]  # type: ignore[index]
    scene = parse(caption)

    def side(index: int, drawn: Any) -> dict[str, Any]:
        return {"index": index, "seed": index, "media": encode_image(render(drawn, rng)), "text": None, "error": None}

    row = dict.fromkeys(schema.SIFTED_SET.names)
    return row | {
        "pair_id": f"pair-{number}",
        "prompt_id": f"prompt-{number}",
        "prompt": caption,
        "chosen": side(0, scene),
        "rejected": side(1, misread(scene, rng)),
    }


@pytest.fixture(scope="session")
def pair_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = str(tmp_path_factory.mktemp("pairs") / "unit-000000.parquet")
    store.write_table(file, schema.table_of([pair_row(n) for n in range(PAIRS)], schema.SIFTED_SET))
    return file


@pytest.fixture(scope="session")
def answer_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_answers(str(tmp_path_factory.mktemp("answers") / "unit-000000.parquet"))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(str(tmp_path / "stage"), "stage", "0" * 32)

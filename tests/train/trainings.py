"""Launches the two trainings as the pipeline does, on given files."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from urm_ray import schema, store
from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.config_tracking import TrackingConfig
from urm_ray.config_training import DpoConfig, RewardConfig, VlmDpoConfig
from urm_ray.models import resolve
from urm_ray.pipeline.stream import LIGHT, passes_needed, training_rows
from urm_ray.run_folder import Stage
from urm_ray.training.loops import dpo_loop, reward_loop, vlm_dpo_loop
from urm_ray.training.rows import both_orders, fitting, kept

VLM = "urm_ray.scenes:checkpoints/vlm"
TEXT_TO_IMAGE = "urm_ray.scenes:checkpoints/text_to_image"
REFERENCE_DIGEST = "shipped"
CLIPS = ClipConfig(count=4, shown="native")
ANSWER_COLUMNS = ["pair_id", "prompt", "context", "chosen", "rejected", *schema.REFERENCE.names]
PAIRS = 24
SMALL: dict[str, Any] = {
    "workers": 2,
    "num_cpus": 0.8,
    "steps": 4,
    "batch": 4,
    "lr": 1e-3,
    "log_steps": 1,
    "checkpoint_steps": 2,
}


def some(*others: int, quick: tuple[int, ...]) -> list[Any]:
    """ZeRO stages: `make test` trains with the quick ones; each costs most of a minute, so the others are long."""
    return [*quick, *(pytest.param(stage, marks=pytest.mark.long) for stage in others)]


def train_reward(stage: Stage, file: str, tracked: Sequence[str] = (), **changes: Any) -> list[dict[str, Any]]:
    from urm_ray.training.launch import launch

    config = RewardConfig(**{**SMALL, **changes})
    rows = training_rows([file], schema.PREFERENCE.names, passes_needed(48, config)).map_batches(
        both_orders, batch_format="pyarrow", batch_size=None, num_cpus=LIGHT
    )
    settings = {
        "train": config.model_dump(),
        "base": resolve(VLM),
        "protocol": "unified",
        "clips": DEFAULT_CLIPS.model_dump(),
        "seed": 5,
        "stage": stage.uri,
        "tracking": TrackingConfig(to=tracked).model_dump(),
        "put_aside_share": 0.05,
    }
    launch(reward_loop, settings, config, stage, rows)
    return store.read_json(stage.path("history.json"))


def train_dpo(stage: Stage, file: str, tracked: Sequence[str] = (), **changes: Any) -> list[dict[str, Any]]:
    from urm_ray.training.encode_pairs import EncodePairs
    from urm_ray.training.launch import launch

    config = DpoConfig(**{**SMALL, "lr": 1e-4, "beta": 500.0, **changes})
    encoded = stage.path("encoded", "unit-000000.parquet")
    store.write_table(encoded, EncodePairs(resolve(TEXT_TO_IMAGE), config, 5, device="cpu")(store.read_table(file)))
    rows = training_rows([encoded], schema.ENCODED_PAIR.names, passes_needed(24, config)).map_batches(
        kept, batch_format="pyarrow", batch_size=None, num_cpus=LIGHT
    )
    settings = {
        "train": config.model_dump(),
        "policy": resolve(TEXT_TO_IMAGE),
        "seed": 5,
        "stage": stage.uri,
        "tracking": TrackingConfig(to=tracked).model_dump(),
        "rows": 24,
    }
    launch(dpo_loop, settings, config, stage, rows)
    return store.read_json(stage.path("history.json"))


def train_vlm_dpo(
    stage: Stage, file: str, policy: str = VLM, tracked: Sequence[str] = (), **changes: Any
) -> list[dict[str, Any]]:
    from urm_ray.training.launch import launch

    config = VlmDpoConfig(**{**SMALL, "batch": 1, **changes})
    rows = training_rows([file], ANSWER_COLUMNS, passes_needed(24, config)).map_batches(
        fitting, batch_format="pyarrow", batch_size=None, num_cpus=LIGHT
    )
    settings = {
        "train": config.model_dump(),
        "policy": resolve(policy),
        "reference_digest": REFERENCE_DIGEST,
        "clips": CLIPS.model_dump(),
        "seed": 5,
        "stage": stage.uri,
        "tracking": TrackingConfig(to=tracked).model_dump(),
        "rows": 24,
    }
    launch(vlm_dpo_loop, settings, config, stage, rows)
    return store.read_json(stage.path("history.json"))


def write_answers(file: str, policy: str = VLM) -> str:
    """Writes pairs of answers about a picture, about nothing and about a clip in turn, with their reference."""
    from helpers import answer_pair, answer_table, clip, picture

    from urm_ray.media import encode_image
    from urm_ray.training.logps import ReferenceLogps

    contexts = [[[encode_image(picture(n))], [], [clip([n, 250 - n, 7, 100])]][n % 3] for n in range(PAIRS)]
    rows = [answer_pair(n, context=c, prompt=f"what is in number {n}?") for n, c in enumerate(contexts)]
    reference = ReferenceLogps(resolve(policy), VlmDpoConfig(), REFERENCE_DIGEST, CLIPS, device="cpu")
    store.write_table(file, reference(answer_table(rows)))
    return file


def moved(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of the tensors that differ."""
    import torch

    assert before.keys() == after.keys()
    return [name for name in before if not torch.equal(before[name], after[name])]


class WorkerKiller(threading.Thread):
    """Kills one training worker as soon as there is a checkpoint to go on from."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self.folder, self.killed = Path(stage.path("train")), 0

    def run(self) -> None:
        while not list(self.folder.glob("checkpoint_*/trainer_state.json")):
            time.sleep(0.02)
        for process in psutil.process_iter(["name", "cmdline"]):
            if "RayTrainWorker" in " ".join(process.info["cmdline"] or [process.info["name"] or ""]):
                self.killed = process.pid
                os.kill(process.pid, signal.SIGKILL)
                return

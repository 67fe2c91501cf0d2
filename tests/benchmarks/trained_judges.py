"""Judges for benchmarks, trained for a short while on the embedded world: they answer in the protocol's form."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from urm_ray import schema
from urm_ray.config_training import Task
from urm_ray.judge.protocol import protocol
from urm_ray.models import resolve
from urm_ray.schema import digest
from urm_ray.sources.registry import Rejected
from urm_ray.training.collate import RewardCollate
from urm_ray.training.rows import both_orders
from urm_ray.vlms import load_processor, trainable_vlm

TASKS: tuple[Task, ...] = ("image_generation", "image_understanding")
KEPT = Path(tempfile.gettempdir()) / "urm_ray_benchmarks"


def preferences(count: int) -> list[dict[str, Any]]:
    """`schema.PREFERENCE` rows of pictures and of answers about pictures, `count` pairs and points of each."""
    from urm_ray.scenes.source import world

    sources = [world(None, 0, task, {"train_pairs": count, "train_points": count}) for task in TASKS]
    rows: list[dict[str, Any]] = []
    for number in range(count):
        found = [
            source.read(part, number, number + 1) for source in sources for part in ("train_pairs", "train_points")
        ]
        rows += [row for one in found for row in one if not isinstance(row, Rejected)]
    return rows


def trained_judge(base: str, steps: int, batch: int, lr: float) -> str:
    """The folder of a judge that was trained on `steps` batches, a pair counting twice; kept for the next time."""
    asked = [protocol("unified").form(task, kind).words for task in TASKS for kind in ("pair", "point")]
    name = digest("judge", base, steps, batch, lr, asked)
    folder = KEPT / name
    if (folder / "config.json").exists():
        return str(folder)
    torch.manual_seed(0)
    model, processor = trainable_vlm(base, "float32", None, train_vision=False), load_processor(resolve(base))
    collate = RewardCollate(processor, protocol("unified"))
    table = both_orders(schema.table_of(preferences(steps * batch // 6), schema.PREFERENCE))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        loss = model(**collate(table.slice(step * batch, batch))).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)

"""Trains the tiny VLM's vision tower before the language model learns from it."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image

from urm_ray.scenes.grammar import COLOURS, SHAPES, sample_scene
from urm_ray.scenes.render import QUALITY_FAULTS, draw, place, spoil


def labelled_cells(rng: random.Random) -> tuple[Image.Image, list[int], int]:
    """A picture, what is in each of its 16 cells of 8 x 8 pixels (0 nothing, else 1 + thing), its fault's number."""
    scene = sample_scene(rng, 0.6)
    places = place(scene, rng)
    picture, fault = draw(scene, places, rng), 0
    if rng.random() < 0.5:
        kind, strength = rng.randrange(len(QUALITY_FAULTS)), rng.choice((1, 2, 3))
        picture, fault = spoil(picture, QUALITY_FAULTS[kind], strength, rng), 1 + 3 * kind + strength - 1
    cells = [0] * 16
    for number, (row, column) in enumerate(itertools.product(range(4), repeat=2)):
        x, y = column * 8 + 4, row * 8 + 4
        for thing, (cx, cy, radius) in zip(scene.things, places, strict=True):
            if abs(x - cx) < radius + 1 and abs(y - cy) < radius + 1:
                cells[number] = 1 + COLOURS.index(thing.colour) * len(SHAPES) + SHAPES.index(thing.shape)
    return picture, cells, fault


def teach_to_see(tower: Any, processor: Any, rng: random.Random, steps: int, minutes: float, lr: float) -> None:
    """Trains the vision tower to tell, at each of its output tokens, what is there, where it is and which fault shows.

    A tower that sees makes the language model's lessons many times shorter, as pretrained towers do in large models.
    """
    classes = {"thing": 1 + len(COLOURS) * len(SHAPES), "place": 16, "fault": 1 + 3 * len(QUALITY_FAULTS)}
    heads = torch.nn.ModuleDict(
        {name: torch.nn.Linear(tower.config.out_hidden_size, size) for name, size in classes.items()}
    )
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr, weight_decay=0.01, betas=(0.9, 0.98))
    started, step = time.monotonic(), 0
    while (share := max(step / steps, (time.monotonic() - started) / 60 / minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, step / 100) * min(1.0, (1 - share) / 0.5)
        pictures, cells, faults = zip(*(labelled_cells(rng) for _ in range(128)), strict=True)
        inputs = processor.image_processor(images=list(pictures), return_tensors="pt")
        seen = tower(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output
        wanted = {
            "thing": torch.tensor(cells).flatten(),
            "place": torch.arange(16).repeat(len(pictures)),
            "fault": torch.tensor(faults).repeat_interleave(16),
        }
        guesses = {name: head(seen) for name, head in heads.items()}
        loss = sum(F.cross_entropy(guesses[name], wanted[name]) for name in classes)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            right = {
                name: round((guesses[name].argmax(-1) == wanted[name]).float().mean().item(), 3) for name in classes
            }
            print(
                f"vision {step} loss {loss.item():.4f} right {right} after {time.monotonic() - started:.0f} s",
                flush=True,
            )

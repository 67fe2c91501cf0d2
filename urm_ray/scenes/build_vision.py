"""Trains the tiny VLM's vision tower before the language model learns from it."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image

from urm_ray.scenes import motion
from urm_ray.scenes.film import CLIP_FAULTS, FRAMES, Place, shoot
from urm_ray.scenes.grammar import COLOURS, SHAPES, Thing, sample_scene
from urm_ray.scenes.motion import MOTIONS, STEPS
from urm_ray.scenes.render import draw, place, spoil

CELLS = tuple((row, column) for row in range(4) for column in range(4))
"""(row, column) of the cells of 8 x 8 pixels that an output token of the tower stands for."""
SLICE = 2
"""Frames that one output token sees."""
UNKNOWN = -100
_JUMP = 3.5  # pixels from one frame to the next, from which a thing does not move but jumps
_STILL = 0.4
CLASSES = {
    "thing": 1 + len(COLOURS) * len(SHAPES),
    "motion": len(MOTIONS) + 2,
    "place": len(CELLS),
    "fault": 1 + 3 * len(CLIP_FAULTS),
}
"""What each token is asked, with the number of answers; 0 is nothing."""


@dataclass(frozen=True)
class Labelled:
    """A picture, or the frames of a clip, and the right answers at each of its tokens."""

    frames: list[Image.Image]
    things: list[int]
    motions: list[int]
    faults: list[int]


def _fault(rng: random.Random, faults: Sequence[str]) -> tuple[str | None, int, int]:
    """(fault, strength, number), in half of the draws none."""
    if rng.random() < 0.5:
        return None, 0, 0
    fault, strength = rng.choice(faults), rng.choice((1, 2, 3))
    return fault, strength, 1 + 3 * CLIP_FAULTS.index(fault) + strength - 1


def _in_cell(cell: tuple[int, int], spot: Place) -> bool:
    x, y, radius = spot
    return abs(cell[1] * 8 + 4 - x) < radius + 1 and abs(cell[0] * 8 + 4 - y) < radius + 1


def _number(thing: Thing) -> int:
    return 1 + COLOURS.index(thing.colour) * len(SHAPES) + SHAPES.index(thing.shape)


def labelled_picture(rng: random.Random) -> Labelled:
    scene = sample_scene(rng, 0.6)
    places = place(scene, rng)
    picture = draw(scene, places, rng)
    fault, strength, number = _fault(rng, CLIP_FAULTS[:3])
    if fault:
        picture = spoil(picture, fault, strength, rng)
    things = [0] * len(CELLS)
    for at, cell in enumerate(CELLS):
        for thing, spot in zip(scene.things, places, strict=True):
            if _in_cell(cell, spot):
                things[at] = _number(thing)
    return Labelled([picture], things, [UNKNOWN] * len(CELLS), [number] * len(CELLS))


def labelled_clip(rng: random.Random) -> Labelled:
    scene = motion.sample_scene(rng)
    fault, strength, number = _fault(rng, CLIP_FAULTS)
    frames, places = shoot(scene, rng, fault, strength)
    things, motions = [], []
    for start in range(0, FRAMES, SLICE):
        now, then = places[start], places[start + SLICE - 1]
        for cell in CELLS:
            here = [i for i in range(len(now)) if _in_cell(cell, now[i]) or _in_cell(cell, then[i])]
            things.append(_number(scene.things[here[-1]]) if here else 0)
            motions.append(1 + _way(now[here[-1]], then[here[-1]]) if here else 0)
    # A jump is seen only where it happens: that is for the motions to tell.
    return Labelled(frames, things, motions, [0 if fault == "jump" else number] * len(things))


def _way(now: Place, then: Place) -> int:
    """The number of the motion from one frame to the next; one more than there are for a jump."""
    right, down = then[0] - now[0], then[1] - now[1]
    far = max(abs(right), abs(down))
    if far > _JUMP:
        return len(MOTIONS)
    step = (0, 0) if far < _STILL else (round(right / far), 0) if abs(right) == far else (0, round(down / far))
    return list(STEPS.values()).index(step)


def look(tower: Any, processor: Any, pictures: Sequence[Labelled], clips: Sequence[Labelled]) -> torch.Tensor:
    """The tower's output (tokens, width): those of the pictures, then those of the clips."""
    seen = processor.image_processor(images=[p.frames[0] for p in pictures], return_tensors="pt")
    filmed = processor.video_processor(
        videos=[c.frames for c in clips], do_sample_frames=False, return_metadata=False, return_tensors="pt"
    )
    pixels = torch.cat([seen["pixel_values"], filmed["pixel_values_videos"]])
    return tower(pixels, torch.cat([seen["image_grid_thw"], filmed["video_grid_thw"]])).pooler_output


def teach_to_see(
    tower: Any,
    processor: Any,
    rng: random.Random,
    steps: int,
    minutes: float,
    lr: float,
    pictures: int = 96,
    clips: int = 32,
) -> None:
    """Trains the vision tower to tell, at each of its output tokens, what is there, where it is, how it moves and which
    fault shows, on so many pictures and clips a step.

    A tower that sees makes the language model's lessons many times shorter, as pretrained towers do in large models.
    """
    heads = torch.nn.ModuleDict(
        {name: torch.nn.Linear(tower.config.out_hidden_size, size) for name, size in CLASSES.items()}
    )
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr, weight_decay=0.01, betas=(0.9, 0.98))
    started, step = time.monotonic(), 0
    while (share := max(step / steps, (time.monotonic() - started) / 60 / minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, step / 100) * min(1.0, (1 - share) / 0.5)
        shown = [labelled_picture(rng) for _ in range(pictures)]
        filmed = [labelled_clip(rng) for _ in range(clips)]
        seen, both = look(tower, processor, shown, filmed), [*shown, *filmed]
        wanted = {
            "thing": torch.tensor([number for one in both for number in one.things]),
            "motion": torch.tensor([number for one in both for number in one.motions]),
            "place": torch.arange(len(CELLS)).repeat(len(seen) // len(CELLS)),
            "fault": torch.tensor([number for one in both for number in one.faults]),
        }
        guesses = {name: head(seen) for name, head in heads.items()}
        loss = sum(F.cross_entropy(guesses[name], wanted[name], ignore_index=UNKNOWN) for name in CLASSES)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            right = {
                name: round((guesses[name].argmax(-1) == wanted[name])[wanted[name] >= 0].float().mean().item(), 3)
                for name in CLASSES
            }
            print(
                f"vision {step} loss {loss.item():.4f} right {right} after {time.monotonic() - started:.0f} s",
                flush=True,
            )

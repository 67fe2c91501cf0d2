"""Trains the tiny policy VLM, which answers questions about pictures and clips; see `urm_ray.scenes.build`.

It starts from the VLM that judges start from, and is taught answers that are partly wrong, as people write them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel

from urm_ray.candidates.answers import AnswerSampler, Asked
from urm_ray.config_policy import AnswerConfig, ClipConfig, SamplerConfig
from urm_ray.config_training import Task
from urm_ray.evaluation.scorer import figures_of
from urm_ray.scenes.answers import Answer, draw_question, one_way, write_answer
from urm_ray.scenes.build_vlm import at_answers
from urm_ray.scenes.clip_answers import write_clip_answer
from urm_ray.scenes.clip_questions import draw_clip_question
from urm_ray.scenes.clip_truth import ClipTruth
from urm_ray.scenes.film import film
from urm_ray.scenes.film_questions import ClipView
from urm_ray.scenes.grammar import sample_scene
from urm_ray.scenes.lessons import Lesson, collate
from urm_ray.scenes.motion import sample_scene as sample_moving_scene
from urm_ray.scenes.questions import Exchange, View
from urm_ray.scenes.render import render
from urm_ray.scenes.source import world
from urm_ray.scenes.truth import Truth
from urm_ray.vlms import load_vlm

CLIPS = ClipConfig(shown="native", count=8)


class AnswererBuild(BaseModel, frozen=True, extra="forbid"):
    """How the tiny policy VLM is made; stored beside it as `build.json`."""

    seed: int = 0
    start: str = "urm_ray.scenes:checkpoints/vlm"
    steps: int = 400
    batch: int = 32
    questions: int = 4
    mistaken: float = 0.4
    """Share of the answers with a false statement, or two."""
    short: float = 0.15
    """Share of the descriptions that leave something out."""
    lr: float = 1e-3
    minutes: float = 12.0


def draw_answers(rng: random.Random, clip: bool, settings: AnswererBuild) -> Lesson:
    """A clean picture or clip with questions about it and answers as people write them."""
    write: Callable[..., Answer] = write_clip_answer if clip else write_answer
    scene: Any = sample_moving_scene(rng) if clip else one_way(sample_scene(rng), rng)
    exchanges = []
    for _ in range(settings.questions):
        question = (draw_clip_question if clip else draw_question)(scene, rng, False)
        mistakes = rng.choice((1, 1, 2)) if rng.random() < settings.mistaken else 0
        answer = write(question, scene, rng, mistakes, rng.random() < settings.short)
        exchanges.append(Exchange(question, answer.text))
    if clip:
        return Lesson((film(scene, rng),), (ClipView(scene),), tuple(exchanges))
    return Lesson((render(scene, rng),), (View(scene),), tuple(exchanges))


def teach(model: Any, processor: Any, settings: AnswererBuild) -> None:
    """Trains the language model in place; the vision tower keeps what it knows."""
    rng = random.Random(settings.seed)
    model.model.visual.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, settings.lr, weight_decay=0.0, betas=(0.9, 0.98))
    model.train()
    started, step = time.monotonic(), 0
    while (share := max(step / settings.steps, (time.monotonic() - started) / 60 / settings.minutes)) < 1:
        optimizer.param_groups[0]["lr"] = settings.lr * min(1, step / 50) * min(1.0, (1 - share) / 0.5)
        clip = step % 2 == 1
        lessons = [draw_answers(rng, clip, settings) for _ in range(settings.batch)]
        with torch.autocast("cpu", torch.bfloat16):
            hidden, wanted, _ = at_answers(model, collate(lessons, processor, model.model.get_rope_index))
            said = model.lm_head(hidden).float()
        loss = F.cross_entropy(said, wanted)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            print(f"answerer {step} loss {loss.item():.4f} after {time.monotonic() - started:.0f} s", flush=True)
    model.eval()


def measure(folder: Path, count: int) -> dict[str, dict[str, float]]:
    """Mean figures of the truth over one drawn answer to each of `count` held-out questions of each task."""
    answers = AnswerConfig(max_new_tokens=64, attention="eager")
    sampler = AnswerSampler(str(folder), SamplerConfig(batch=64, answers=answers), device="cpu", clips=CLIPS)
    scorers: dict[Task, Any] = {"image_understanding": Truth(), "video_understanding": ClipTruth()}
    found: dict[str, dict[str, float]] = {}
    for task, scorer in scorers.items():
        rows = world(None, 0, task, {"heldout_prompts": count}).read("heldout_prompts", 0, count)
        asked = [row for row in rows if isinstance(row, dict)]
        made = sampler.sample([(Asked.of(row, CLIPS), seed) for seed, row in enumerate(asked)])
        figures: dict[str, list[float]] = {}
        for row, candidate in zip(asked, made, strict=True):
            for figure in figures_of(scorer, {**row, "candidates": [candidate]}):
                figures.setdefault(figure["name"], []).append(figure["value"])
        found[task] = {name: round(float(np.sum(values)) / count, 4) for name, values in figures.items()}
    return found


def build(settings: AnswererBuild, folder: Path) -> dict[str, Any]:
    """Makes the policy VLM, saves it to `folder` and returns how true its answers are."""
    torch.manual_seed(settings.seed)
    model, processor, _ = load_vlm(settings.start, device="cpu", attention="eager")
    teach(model, processor, settings)
    model.to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)
    return measure(folder, 400)

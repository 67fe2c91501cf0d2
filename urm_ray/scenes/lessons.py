"""What the tiny VLM is taught with: questions about one picture or two, many of them in one sequence."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from urm_ray.judge.protocol import UNIFIED
from urm_ray.scenes.grammar import OPPOSITE, Scene, differences, misread, sample_scene
from urm_ray.scenes.questions import Exchange, View, about, caption_near
from urm_ray.scenes.render import QUALITY_FAULTS, render, spoil

FACTS = {"total": 4, "colours": 3, "shapes": 3, "count": 3, "relation": 2, "strength": 4}
"""What can be known of a picture beside a caption, with how many values it has; larger numbers count as the last."""
IGNORED = -100


@dataclass(frozen=True)
class Lesson:
    """One picture or two with questions about them."""

    pictures: tuple[Image.Image, ...]
    views: tuple[View, ...]
    exchanges: tuple[Exchange, ...]


def as_seen(scene: Scene, rng: random.Random) -> Scene:
    """The one description of a picture of this scene: left before right, above before below."""
    if len(scene.things) != 2 or len(set(scene.things)) == 1:
        return scene
    relation = scene.relation or rng.choice(("left of", "above"))
    if relation in ("right of", "below"):
        return Scene(scene.things[::-1], OPPOSITE[relation])
    return Scene(scene.things, relation)


def draw_view(rng: random.Random, scene: Scene | None = None) -> tuple[Image.Image, View]:
    scene = as_seen(scene or sample_scene(rng, 0.6), rng)
    picture = render(scene, rng)
    if rng.random() < 0.5:
        return picture, View(scene)
    fault, strength = rng.choice(QUALITY_FAULTS), rng.choice((1, 2, 3))
    return spoil(picture, fault, strength, rng), View(scene, fault, strength)


def draw_lesson(
    rng: random.Random, pictures: int, questions: int, repeated: float = 0.0, guessed: float = 0.0
) -> Lesson:
    """Questions about one picture, or about two that are often alike.

    repeated: share of questions that only ask for an answer of the judge to be said again.
    guessed: share of questions that the judge is asked, with an answer by chance.
    """
    shown = [draw_view(rng)]
    if pictures == 2:
        near, scene = rng.random(), shown[0][1].scene
        shown.append(draw_view(rng, scene if near < 0.25 else misread(scene, rng) if near < 0.8 else None))
    views = tuple(view for _, view in shown)
    exchanges = []
    for _ in range(questions):
        exchange, draw = about(views, rng), rng.random()
        if draw < repeated:
            answer = rng.choice([a for form in UNIFIED.forms.values() for a in form.answers])
            exchange = Exchange(f"Repeat: {answer}", answer)
        elif draw < repeated + guessed:
            form = UNIFIED.form("image_generation", "pair" if pictures == 2 else "point")
            asked = caption_near(rng.choice(views).scene, rng, rng.randrange(4))
            question = form.asking.replace("{prompt}", asked.caption())
            exchange = Exchange(question, rng.choice(list(form.answers)), asked)
        exchanges.append(exchange)
    return Lesson(tuple(picture for picture, _ in shown), views, tuple(exchanges))


def chat(lesson: Lesson) -> list[dict[str, Any]]:
    """The pictures and questions as one conversation."""
    content: list[dict[str, str]] = [{"type": "image"}]
    if len(lesson.pictures) == 2:
        content = [part for n in (1, 2) for part in ({"type": "text", "text": f"Image {n}:"}, {"type": "image"})]
    messages: list[dict[str, Any]] = []
    for exchange in lesson.exchanges:
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": exchange.question}]})
        messages.append({"role": "assistant", "content": exchange.answer})
        content = []
    return messages


def facts(lesson: Lesson) -> list[list[int]]:
    """For each question the FACTS of each of two pictures beside its caption; IGNORED where there is none."""
    rows = []
    for exchange in lesson.exchanges:
        row: list[int] = []
        for number in range(2):
            view = lesson.views[number] if number < len(lesson.views) else None
            if exchange.asked is None or view is None:
                row += [IGNORED] * len(FACTS)
                continue
            wrong = differences(exchange.asked, view.scene)
            row += [min(getattr(wrong, name), FACTS[name] - 1) for name in list(FACTS)[:-1]] + [view.strength]
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Batch:
    """Lessons as tensors. B lessons of L tokens, Q questions each.

    positions: (3, B, L); mask: (B, 1, L, L), 0 where a token may look, else the least number; labels: (B, L), the
    answers and their end marks, IGNORED elsewhere; facts: (B, L, 2 * len(FACTS)) at every label, IGNORED elsewhere.
    """

    inputs: Any
    positions: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    facts: torch.Tensor


def collate(lessons: Sequence[Lesson], processor: Any, rope_index: Any) -> Batch:
    """Every question sees the pictures and itself alone, as if it were the only one, and stands where it then would.

    rope_index: the model's `get_rope_index`.
    """
    texts = [
        "<|im_start|>user\n" + "".join(text.removeprefix("<|im_start|>user\n") for text in _turns(lesson, processor))
        for lesson in lessons
    ]
    inputs = processor(
        text=texts, images=[list(lesson.pictures) for lesson in lessons], padding=True, return_tensors="pt"
    )
    ids = inputs["input_ids"]
    token = processor.tokenizer.convert_tokens_to_ids
    place = torch.arange(ids.shape[1]).expand_as(ids)
    ended = (ids == token("<|im_end|>")).cumsum(1)
    before = ended - (ids == token("<|im_end|>")).long()
    pictures_end = torch.where(ids == token("<|vision_end|>"), place, 0).amax(1, keepdim=True)
    block = torch.where(place > pictures_end, before // 2 + 1, 0)
    real = inputs["attention_mask"].bool()
    answering = real & (before % 2 == 1)
    # "<|im_end|>", a line's end and the assistant's lead belong to the question.
    lead = len(processor.tokenizer("\n<|im_start|>assistant\n", add_special_tokens=False).input_ids)
    since = place - torch.where((ids == token("<|im_end|>")) & (before % 2 == 0), place, 0).cummax(1).values
    labels = torch.where(answering & (since > lead), ids, IGNORED)
    allowed = (place[:, None] <= place[..., None]) & ((block[:, None] == 0) | (block[:, None] == block[..., None]))
    allowed &= real[:, None]
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[:, None]
    positions, _ = rope_index(
        ids, inputs["mm_token_type_ids"], inputs["image_grid_thw"], attention_mask=inputs["attention_mask"]
    )
    first = torch.full((len(lessons), int(block.max()) + 1), ids.shape[1]).scatter_reduce(1, block, place, "amin")
    moved = (first.gather(1, block) - (pictures_end + 1)).clamp(min=0)
    known = torch.tensor([[[IGNORED] * 2 * len(FACTS), *facts(lesson)] for lesson in lessons])
    at = known.gather(1, block.clamp(max=known.shape[1] - 1)[..., None].expand(-1, -1, known.shape[2]))
    return Batch(inputs, positions - moved, mask, labels, torch.where((labels == IGNORED)[..., None], IGNORED, at))


def _turns(lesson: Lesson, processor: Any) -> list[str]:
    messages = chat(lesson)
    return [
        processor.apply_chat_template(messages[i : i + 2], tokenize=False).removesuffix("\n")
        for i in range(0, len(messages), 2)
    ]

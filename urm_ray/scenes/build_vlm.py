"""Trains the tiny vision-language model (Qwen2.5-VL layout) from nothing; see `urm_ray.scenes.build`.

It learns to caption pictures and to answer questions about one or two of them. It never sees a preference.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import BaseModel
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from urm_ray.evaluation.preferences import agreement, ask_preferences
from urm_ray.judge.engine import TransformersEngine
from urm_ray.judge.protocol import UNIFIED
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.scenes.build_processor import build_processor
from urm_ray.scenes.build_vision import teach_to_see
from urm_ray.scenes.grammar import OPPOSITE, Scene, misread, sample_scene
from urm_ray.scenes.preferences import Scenes
from urm_ray.scenes.questions import View, about_one, about_two
from urm_ray.scenes.render import QUALITY_FAULTS, SIZE, render, spoil


class VlmBuild(BaseModel, frozen=True, extra="forbid"):
    """How the tiny VLM is made; stored beside it as `build.json`."""

    seed: int = 0
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    vision_hidden: int = 64
    vision_layers: int = 3
    vocabulary: int = 640
    vision_steps: int = 1250
    vision_minutes: float = 10.0
    vision_lr: float = 2e-3
    steps: int = 6000
    batch: int = 48
    questions: int = 4
    two_pictures: float = 0.65
    repeated: float = 0.06
    captions_first: float = 0.15
    """Share of the training that sees single pictures, each described first; looking is learnt before comparing."""
    lr: float = 2e-3
    minutes: float = 13.0


def build_model(settings: VlmBuild, processor: Qwen2_5_VLProcessor) -> Qwen2_5_VLForConditionalGeneration:
    token = processor.tokenizer.convert_tokens_to_ids
    head = settings.hidden // settings.heads
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(processor.tokenizer),
            "hidden_size": settings.hidden,
            "intermediate_size": settings.hidden * 5 // 2,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "num_key_value_heads": settings.heads // 2,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [head // 4, head // 8, head // 8],
            },
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config={
            "depth": settings.vision_layers,
            "hidden_size": settings.vision_hidden,
            "intermediate_size": settings.vision_hidden * 5 // 2,
            "num_heads": 2,
            "out_hidden_size": settings.hidden,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": SIZE,
            "fullatt_block_indexes": list(range(settings.vision_layers)),
            "tokens_per_second": 2,
        },
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        tie_word_embeddings=True,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = token("<|im_end|>")
    model.generation_config.pad_token_id = token("<|endoftext|>")
    return model


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


def conversation(
    settings: VlmBuild, rng: random.Random, only_captions: bool = False
) -> tuple[list[dict[str, Any]], list[Image.Image]]:
    """A chat of several questions and answers about one picture, or about two that are often alike."""
    picture, view = draw_view(rng)
    pictures = [picture]
    content: list[dict[str, str]] = [{"type": "image"}]
    other: View | None = None
    if not only_captions and rng.random() < settings.two_pictures:
        near = rng.random()
        scene = view.scene if near < 0.25 else misread(view.scene, rng) if near < 0.8 else None
        picture, other = draw_view(rng, scene)
        pictures.append(picture)
        content = [
            {"type": "text", "text": "Image 1:"},
            {"type": "image"},
            {"type": "text", "text": "Image 2:"},
            {"type": "image"},
        ]
    messages: list[dict[str, Any]] = []
    for number in range(2 if only_captions else settings.questions):
        if only_captions and number == 0:
            question, answer = "Describe the image.", view.scene.caption()
        else:
            question, answer = about_two(view, other, rng) if other else about_one(view, rng)
        if number and rng.random() < settings.repeated:
            # It learns to say every answer of the judge, and no reason for one rather than another.
            answer = rng.choice([a for form in UNIFIED.forms.values() for a in form.answers])
            question = f"Repeat: {answer}"
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": question}]})
        messages.append({"role": "assistant", "content": answer})
        content = []
    return messages, pictures


def answer_labels(ids: torch.Tensor, tokenizer: Any) -> torch.Tensor:
    """Labels (B, L) that keep only what the assistant says, its end mark included; -100 elsewhere."""
    start, end = (tokenizer.convert_tokens_to_ids(t) for t in ("<|im_start|>", "<|im_end|>"))
    assistant = tokenizer("assistant\n", add_special_tokens=False).input_ids
    labels = torch.full_like(ids, -100)
    for row, out in zip(ids.tolist(), labels, strict=True):
        for i in (i for i, t in enumerate(row) if t == start and row[i + 1 : i + 1 + len(assistant)] == assistant):
            first = i + 1 + len(assistant)
            last = row.index(end, first) + 1
            out[first:last] = torch.tensor(row[first:last])
    return labels


def build(settings: VlmBuild, folder: Path) -> dict[str, float]:
    """Makes the model and its processor, saves them to `folder` and returns the measured accuracy of its answers."""
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    processor = build_processor(settings.seed, settings.vocabulary)
    processor.save_pretrained(folder)
    model = build_model(settings, processor)
    print(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(processor.tokenizer)} tokens",
        flush=True,
    )

    def batch(only_captions: bool) -> tuple[Any, torch.Tensor]:
        chats, pictures = zip(*(conversation(settings, rng, only_captions) for _ in range(settings.batch)), strict=True)
        texts = [processor.apply_chat_template(chat, tokenize=False) for chat in chats]
        inputs = processor(text=texts, images=list(pictures), padding=True, return_tensors="pt")
        return inputs, answer_labels(inputs["input_ids"], processor.tokenizer)

    teach_to_see(model.model.visual, processor, rng, settings.vision_steps, settings.vision_minutes, settings.vision_lr)
    # The tower keeps what it has learnt; short of data, the language model's errors would only blur it.
    model.model.visual.requires_grad_(False)
    layers = model.model.language_model.layers
    matrices = [p for p in layers.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.requires_grad and not any(p is m for m in matrices)]
    optimizers = [
        torch.optim.Muon(matrices, settings.lr, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, settings.lr, weight_decay=0.0, betas=(0.9, 0.98)),
    ]
    started, step, right, seen = time.monotonic(), 0, 0.0, 0
    model.train()
    while True:
        share = max(step / settings.steps, (time.monotonic() - started) / 60 / settings.minutes)
        if share >= 1:
            break
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = settings.lr * min(1, step / 100) * min(1.0, (1 - share) / 0.6)
        inputs, labels = batch(share < settings.captions_first)
        hidden = model.model(**inputs).last_hidden_state[:, :-1]
        kept = labels[:, 1:] != -100
        logits, wanted = model.lm_head(hidden[kept]), labels[:, 1:][kept]
        loss = F.cross_entropy(logits, wanted)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        right, seen, step = right + (logits.argmax(-1) == wanted).sum().item(), seen + len(wanted), step + 1
        if step % 100 == 0:
            print(
                f"vlm {step} loss {loss.item():.4f} right {right / seen:.4f} after {time.monotonic() - started:.0f} s",
                flush=True,
            )
            right, seen = 0.0, 0
        if step % 1000 == 0:
            print(f"vlm {step} quality {measure(model, processor, 200)}", flush=True)
            model.train()
    model.eval()
    model.save_pretrained(folder)
    return {**measure(model, processor, 1000), "pair_accuracy": preference_accuracy(folder)}


def preference_accuracy(folder: Path, pairs: int = 600) -> float:
    """Accuracy on held-out preferences when the model is made to choose: about one half, as it was never taught any."""
    scorer = JudgeScorer(TransformersEngine(str(folder)), UNIFIED)
    rows = [row for row in Scenes(None, 0, {}).read("heldout_pairs", 0, pairs) if isinstance(row, dict)]
    figure = agreement(ask_preferences(scorer, rows), 0, 100)["pair_accuracy"]
    assert isinstance(figure, dict)
    return figure["value"]


@torch.no_grad()
def measure(model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, count: int) -> dict[str, float]:
    """Share of exact greedy answers to fresh questions about one and about two pictures, and of exact captions."""
    model.eval()
    rng = random.Random(987_654)
    settings = VlmBuild(questions=1)
    results: dict[str, list[float]] = {"one": [], "two": [], "caption": []}
    processor.tokenizer.padding_side = "left"
    for start in range(0, count, 50):
        chats, pictures = zip(*(conversation(settings, rng) for _ in range(min(50, count - start))), strict=True)
        texts = [processor.apply_chat_template(chat[:-1], tokenize=False, add_generation_prompt=True) for chat in chats]
        inputs = processor(text=texts, images=list(pictures), padding=True, return_tensors="pt")
        out = model.generate(**inputs, max_new_tokens=16, do_sample=False)[:, inputs["input_ids"].shape[1] :]
        for chat, shown, said in zip(
            chats, pictures, processor.batch_decode(out, skip_special_tokens=True), strict=True
        ):
            kind = "caption" if "Describe" in chat[0]["content"][-1]["text"] else "one" if len(shown) == 1 else "two"
            results[kind].append(float(said.strip() == chat[1]["content"]))
    processor.tokenizer.padding_side = "right"
    return {kind: round(sum(values) / max(1, len(values)), 4) for kind, values in results.items()}

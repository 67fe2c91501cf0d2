"""Trains the tiny vision-language model (Qwen2.5-VL layout) from nothing; see `urm_ray.scenes.build`.

It learns to describe pictures and clips, and to answer questions about one or two of them and about answers. It never
sees a preference.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from urm_ray.config import JudgeConfig
from urm_ray.config_policy import ClipConfig
from urm_ray.evaluation.preferences import agreement, ask_preferences
from urm_ray.judge.scorer import JudgeScorer
from urm_ray.scenes.build_processor import build_processor
from urm_ray.scenes.build_vision import teach_to_see
from urm_ray.scenes.lessons import FACTS, IGNORED, KINDS, Batch, Kind, Shares, chat, collate, draw_lesson, media_inputs
from urm_ray.scenes.render import SIZE
from urm_ray.scenes.source import TASKS, world
from urm_ray.vlms import load_vlm

PICTURES = ("pixel_values", "image_grid_thw")
CLIPS = ("pixel_values_videos", "video_grid_thw")


class VlmBuild(BaseModel, frozen=True, extra="forbid"):
    """How the tiny VLM is made; stored beside it as `build.json`."""

    seed: int = 0
    start: str | None = None
    """A VLM of the same sizes to start from, whatever words it knows; None starts from nothing."""
    hidden: int = 128
    layers: int = 6
    heads: int = 4
    vision_hidden: int = 64
    vision_layers: int = 3
    vocabulary: int = 768
    vision_steps: int = 1800
    vision_minutes: float = 15.0
    vision_lr: float = 2e-3
    steps: int = 10_000
    batch: int = 48
    questions: int = 6
    one_first: float = 0.15
    """Share of the training that sees single pictures and clips only; looking is learnt before comparing."""
    answers: float = 0.45
    """Share of the questions about answers, where a single picture or clip is shown."""
    repeated: float = 0.05
    """Share of the questions that only ask for an answer of the judge to be said again."""
    guess_steps: int = 400
    guessed: float = 0.3
    guess_lr: float = 5e-4
    """Last, it is asked the judge's questions too and told answers by chance: it learns the words, and no reason."""
    facts_weight: float = 0.2
    lr: float = 2e-3
    minutes: float = 60.0


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
            "tokens_per_second": 4,
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


def build(settings: VlmBuild, folder: Path) -> dict[str, Any]:
    """Makes the model and its processor, saves them to `folder` and returns the measured accuracy of its answers."""
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    processor = build_processor(settings.seed, settings.vocabulary)
    processor.save_pretrained(folder)
    model = build_model(settings, processor)
    if settings.start:
        carry_over(settings.start, model, processor)
    # At these sizes plain attention in bfloat16 takes less than half the time of the fused kernel in float32.
    model.set_attn_implementation("eager")
    print(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(processor.tokenizer)} tokens",
        flush=True,
    )
    teach_to_see(model.model.visual, processor, rng, settings.vision_steps, settings.vision_minutes, settings.vision_lr)
    # The tower keeps what it has learnt; short of data, the language model's errors would only blur it.
    model.model.visual.requires_grad_(False)
    teach_to_answer(model, processor, rng, settings)
    teach_to_guess(model, processor, rng, settings)
    model.eval()
    model.to(torch.bfloat16).save_pretrained(folder)
    model.float()
    return {**measure(model, processor, 500), "pair_accuracy": preference_accuracy(folder)}


def carry_over(start: str, model: Any, processor: Any) -> None:
    """The weights of another VLM of the same sizes, and what it knows of the words that both have."""
    old, known, _ = load_vlm(start, device="cpu")
    weights, embeddings = old.state_dict(), old.get_input_embeddings().weight
    mine = processor.tokenizer.get_vocab()
    words = model.get_input_embeddings().weight.detach().clone()
    for token, number in known.tokenizer.get_vocab().items():
        if token in mine:
            words[mine[token]] = embeddings[number]
    weights = {name: words if value.shape == embeddings.shape else value for name, value in weights.items()}
    model.load_state_dict(weights)


def teach_to_guess(model: Any, processor: Any, rng: random.Random, settings: VlmBuild) -> None:
    """Takes away what facts alone would make it prefer."""
    last = {"steps": settings.guess_steps, "lr": settings.guess_lr, "one_first": 0.0, "facts_weight": 0.0}
    teach_to_answer(model, processor, rng, settings.model_copy(update=last), settings.guessed)


def progress(settings: VlmBuild) -> Iterator[float]:
    """The share of the training that is done, at each of its steps; it ends by steps or by minutes."""
    started, step = time.monotonic(), 0
    while (share := max(step / settings.steps, (time.monotonic() - started) / 60 / settings.minutes)) < 1:
        yield share
        step += 1


def teach_to_answer(model: Any, processor: Any, rng: random.Random, settings: VlmBuild, guesses: float = 0.0) -> None:
    """Trains the language model on answers; where a question has a caption, also to know all FACTS where it answers.

    The heads that read the facts are thrown away. They make it look at every part of the caption from the first step,
    where answers of one word each would take many times as long.
    """
    knows = torch.nn.Linear(settings.hidden, 2 * sum(FACTS.values()))
    shares = Shares(settings.answers, settings.repeated, guesses)
    layers = model.model.language_model.layers
    matrices = [p for p in layers.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.requires_grad and not any(p is m for m in matrices)]
    optimizers = [
        torch.optim.Muon(matrices, settings.lr, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([*others, *knows.parameters()], settings.lr, weight_decay=0.0, betas=(0.9, 0.98)),
    ]
    model.train()
    started, right, known = time.monotonic(), [0, 0], [0, 0]
    for step, share in enumerate(progress(settings), start=1):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = settings.lr * min(1, step / 100) * min(1.0, (1 - share) / 0.6)
        kinds: list[Kind] = [kind for kind in KINDS if share > settings.one_first or not kind.startswith("two")]
        kind = rng.choices(kinds, [KINDS[k] for k in kinds])[0]
        lessons = [draw_lesson(rng, kind, settings.questions, shares) for _ in range(settings.batch)]
        batch = collate(lessons, processor, model.model.get_rope_index)
        with torch.autocast("cpu", torch.bfloat16):
            hidden, wanted, true = at_answers(model, batch)
            said = model.lm_head(hidden).float()
            guessed = knows(hidden).float().split([*FACTS.values()] * 2, dim=-1)
        loss = F.cross_entropy(said, wanted)
        for guess, fact in zip(guessed, true.unbind(-1), strict=True):
            if settings.facts_weight and (fact != IGNORED).any():
                loss = loss + settings.facts_weight * F.cross_entropy(guess, fact, ignore_index=IGNORED)
                known[0] += (guess.argmax(-1) == fact).sum().item()
                known[1] += (fact != IGNORED).sum().item()
        right[0] += (said.argmax(-1) == wanted).sum().item()
        right[1] += len(wanted)
        model.zero_grad()
        knows.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*matrices, *others], 1.0)
        for optimizer in optimizers:
            optimizer.step()
        if step % 100 == 0:
            print(
                f"vlm {step} loss {loss.item():.4f} answers {right[0] / right[1]:.4f} "
                f"facts {known[0] / max(1, known[1]):.4f} after {time.monotonic() - started:.0f} s",
                flush=True,
            )
            right, known = [0, 0], [0, 0]
        if step % 1000 == 0:
            print(f"vlm {step} quality {measure(model, processor, 400)}", flush=True)
            model.train()


def at_answers(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """At each of N answer tokens: what the model makes of it (N, H), the token (N,), the facts (N, 2 x FACTS)."""
    inner, ids, given = model.model, batch.inputs["input_ids"], batch.inputs
    pixels, grid = CLIPS if "video_grid_thw" in given else PICTURES
    seen = inner.visual(given[pixels], given[grid]).pooler_output
    embeddings = inner.get_input_embeddings()(ids)
    slots = (ids == model.config.image_token_id) | (ids == model.config.video_token_id)
    hidden = inner.language_model(
        inputs_embeds=embeddings.masked_scatter(slots[..., None].expand_as(embeddings), seen.to(embeddings.dtype)),
        position_ids=batch.positions,
        attention_mask={"full_attention": batch.mask},
        use_cache=False,
    ).last_hidden_state[:, :-1]
    kept = batch.labels[:, 1:] != IGNORED
    return hidden[kept], batch.labels[:, 1:][kept], batch.facts[:, 1:][kept]


def preference_accuracy(folder: Path, pairs: int = 600) -> dict[str, float]:
    """Accuracy on held-out preferences of each task when the model is made to choose: about one half, as it was never
    taught any."""
    judge = JudgeConfig(clips=ClipConfig(shown="native"), attention="eager")
    scorer = JudgeScorer.load(str(folder), judge, min_mass=0.0)
    found: dict[str, float] = {}
    for task in TASKS:
        source = world(None, 0, task, {"heldout_pairs": pairs})
        rows = [row for row in source.read("heldout_pairs", 0, pairs) if isinstance(row, dict)]
        figure = agreement(ask_preferences(scorer, rows), 0, 100)["pair_accuracy"]
        assert isinstance(figure, dict)
        found[task] = round(figure["value"], 4)
    return found


@torch.no_grad()
def measure(model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor, count: int) -> dict[str, float]:
    """Share of exact greedy answers to fresh questions, `count` of each kind; descriptions and answers apart."""
    model.eval()
    rng = random.Random(987_654)
    results: dict[str, list[float]] = {}
    processor.tokenizer.padding_side = "left"
    for kind in KINDS:
        for start in range(0, count, 50):
            lessons = [draw_lesson(rng, kind, 1, Shares(0.4)) for _ in range(min(50, count - start))]
            texts = [
                processor.apply_chat_template(chat(lesson)[:-1], tokenize=False, add_generation_prompt=True)
                for lesson in lessons
            ]
            inputs = processor(text=texts, padding=True, return_tensors="pt", **media_inputs(lessons))
            out = model.generate(**inputs, max_new_tokens=24, do_sample=False)[:, inputs["input_ids"].shape[1] :]
            for lesson, said in zip(lessons, processor.batch_decode(out, skip_special_tokens=True), strict=True):
                question, answer = lesson.exchanges[0].question, lesson.exchanges[0].answer
                if question.startswith("Describe"):
                    name = f"{kind}: caption"
                else:
                    name = f"{kind}: answers" if question.startswith("Question") else kind
                results.setdefault(name, []).append(float(said.strip() == answer))
    processor.tokenizer.padding_side = "right"
    return {kind: round(sum(values) / max(1, len(values)), 4) for kind, values in results.items()}

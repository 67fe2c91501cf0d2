"""Makes the tiny VLM's processor: Qwen's special tokens and chat layout around a vocabulary of this world."""

from __future__ import annotations

import itertools
import random
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

from urm_ray.judge.protocol import OVERALL, UNIFIED
from urm_ray.judge.scale import SCALES
from urm_ray.scenes import motion
from urm_ray.scenes.clip_preferences import DIMENSIONS
from urm_ray.scenes.grammar import all_scenes
from urm_ray.scenes.lessons import KINDS, Shares, draw_lesson

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_WORDS = r"'s|[A-Za-z]+| ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]+|\s+"


def _texts(rng: random.Random, lessons: int) -> list[str]:
    texts = [scene.caption() for scene in all_scenes()]
    texts += [scene.caption() for scene in rng.sample(motion.all_scenes(), 1500)]
    for kind in KINDS:
        for _ in range(lessons):
            lesson = draw_lesson(rng, kind, 1, Shares(answers=0.4))
            texts += [part for e in lesson.exchanges for part in (*e.question.split(": "), e.answer)]
    forms = list(UNIFIED.pairs.values())
    for task in UNIFIED.points:
        dimensions = (OVERALL, *DIMENSIONS) if task == "video_generation" else (OVERALL,)
        forms += [UNIFIED.form(task, "point", *way) for way in itertools.product(SCALES, dimensions)]
    for form in forms:
        words = [*form.words, *form.answers]
        texts += [word.removesuffix(" \n").replace("{prompt}", "") for word in words] * 20
    return texts + ["user", "assistant", " 1 2 3 4 5 6 7 8 9 0"] * 200


def build_processor(seed: int, vocabulary: int, lessons: int = 2000) -> Qwen2_5_VLProcessor:
    """Image processor of patch 4, byte-level BPE tokenizer with Qwen's special tokens, and a chat template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator(_texts(random.Random(seed), lessons), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=4096,
        extra_special_tokens=list(SPECIAL[1:]),
    )
    pixels = {"min_pixels": 8 * 8, "max_pixels": 64 * 64}
    common: dict[str, Any] = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2, **pixels}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**common),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**common),
        chat_template=TEMPLATE,
    )

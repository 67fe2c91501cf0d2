"""Chat VLMs of every family, in their real classes and file formats, with small random weights and real processors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WIDTH = 32
"""Hidden size of every language model and vision encoder."""
SIDE = 16
"""Of the square pictures that encoders of a fixed size take, in patches of PATCH."""
PATCH = 4
CHATML = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
TURNS = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}@parts{{ '<|im_end|>\n' }}{% endfor %}"
ASKING = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
PARTS = (
    "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{% if p.type == 'image' %}@image"
    "{% elif p.type == 'video' %}@video{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}"
)
"""In the order in which they come, as most templates have them."""


def chatml(image: str, video: str, system: str = "") -> str:
    """A template of the Qwen kind: parts in their order between <|im_start|> and <|im_end|>."""
    return system + TURNS.replace("@parts", PARTS).replace("@image", image).replace("@video", video) + ASKING


QWEN = chatml("<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>")
DEFAULT_SYSTEM = "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
QWEN_TOKENS = ("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
MEDIA_FIRST = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + ' ' }}"
    "{% for p in m.content if p.type == 'image' %}<image>{% endfor %}"
    "{% for p in m.content if p.type == 'video' %}<video>{% endfor %}"
    "{% for p in m.content if p.type == 'text' %}{{ '\n' + p.text }}{% endfor %}<|im_end|>{% endfor %}" + ASKING
)
"""LLaVA-OneVision's: a turn's pictures, then its clips, then its words."""
VICUNA = (
    "{% for m in messages %}{{ m.role.upper() + ': ' }}"
    "{% for p in m.content if p.type == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for p in m.content if p.type == 'text' %}{{ p.text + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""LLaVA-1.5's: nothing ends a turn."""
UTTERANCES = (
    "<|begin_of_text|>{% for m in messages %}{{ m.role | capitalize }}"
    "{{ ':' if m.content[0].type == 'image' else ': ' }}"
    + PARTS.replace("@image", "<image>").replace("@video", "")
    + "{{ '<end_of_utterance>\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""Idefics3's."""
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' }}{{ 'model' if m.role == 'assistant' else m.role }}"
    "{{ '\n' }}"
    "{% for p in m.content %}{% if p.type == 'image' %}<start_of_image>{% else %}{{ p.text | trim }}{% endif %}"
    "{% endfor %}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
"""Gemma3's: every text loses the white space at its ends, and a turn ends with another token than a text."""


WORDS = """Image Video Response 1: 2: is better than both images videos responses are equally good. Final Score: 3 4 5
Caption: Question: Which image follows the caption better and has quality? how many circles squares, red green blue are
there in this picture what moves left right a cat two of them one three"""


@cache
def merges() -> str:
    """A byte-level BPE that knows some words, as JSON."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator([WORDS], trainer)
    return bpe.to_str()


def tokenizer(ends: dict[str, str], more: tuple[str, ...] | dict[str, str]) -> Any:
    """more: special tokens beside the ends; named ones, which a processor looks up by name, as a dict."""
    extra = more if isinstance(more, dict) else list(more)
    bpe = Tokenizer.from_str(merges())
    return tf.PreTrainedTokenizerFast(tokenizer_object=bpe, **ends, extra_special_tokens=extra, model_max_length=4096)


def text(words: Any, **changes: Any) -> dict[str, Any]:
    """Settings of a language model of two layers."""
    return {
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": WIDTH // 2,
        "max_position_embeddings": 4096,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    } | changes


SEES = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
SQUARE = {"image_size": SIDE, "patch_size": PATCH}
SIZE = {"height": SIDE, "width": SIDE}
MROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2]}


def qwen(version: str, template: str, vision: dict[str, Any], **changes: Any) -> tuple[Any, Any]:
    """version: of the classes' names, such as Qwen2_5_VL. changes: of the language model's settings."""
    words = tokenizer(CHATML, QWEN_TOKENS)
    pixels = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
    small = {"min_pixels": 8 * 8, "max_pixels": 32 * 32}
    clips = tf.Qwen3VLVideoProcessor if version == "Qwen3VL" else tf.Qwen2VLVideoProcessor
    # Qwen3-VL counts the pixels of all frames together.
    size = {"shortest_edge": 8 * 8, "longest_edge": 32 * 32 * 32} if version == "Qwen3VL" else None
    processor = getattr(tf, f"{version}Processor")(
        image_processor=tf.Qwen2VLImageProcessor(**pixels, **small),
        tokenizer=words,
        video_processor=clips(**pixels, **({"size": size} if size else small)),
        chat_template=template,
    )
    ids = words.convert_tokens_to_ids
    config = getattr(tf, f"{version}Config")(
        text_config=text(words, rope_parameters=MROPE, tie_word_embeddings=False, **changes),
        vision_config={"depth": 3, "num_heads": 2, "patch_size": PATCH, "spatial_merge_size": 2, **vision},
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        tie_word_embeddings=False,
    )
    return getattr(tf, f"{version}ForConditionalGeneration")(config), processor


def qwen2_vl() -> tuple[Any, Any]:
    return qwen("Qwen2VL", chatml_with_system(), {"embed_dim": WIDTH, "hidden_size": WIDTH, "mlp_ratio": 2})


def chatml_with_system() -> str:
    """Qwen2-VL's and Qwen2.5-VL's templates put a system's turn before a chat that has none."""
    return DEFAULT_SYSTEM + QWEN


def qwen2_5_vl() -> tuple[Any, Any]:
    windows = {"window_size": 16, "fullatt_block_indexes": [2], "tokens_per_second": 4}
    sizes = {"hidden_size": WIDTH, "intermediate_size": 48, "out_hidden_size": WIDTH}
    return qwen("Qwen2_5_VL", chatml_with_system(), sizes | windows)


def qwen3_vl() -> tuple[Any, Any]:
    sizes = {"hidden_size": WIDTH, "intermediate_size": 48, "out_hidden_size": WIDTH, "num_position_embeddings": 16}
    # Features for the last layer of the language model would stand where no answer sees them.
    return qwen("Qwen3VL", QWEN, sizes | {"deepstack_visual_indexes": [0, 1]}, num_hidden_layers=3)


def llava_onevision() -> tuple[Any, Any]:
    """Pictures in a varying number of crops; of the encoder, the pooling head is left out as in the released models."""
    words = tokenizer(CHATML, ("<|im_start|>", "<image>", "<video>"))
    grid = [[SIDE * y, SIDE * x] for y in (1, 2) for x in (1, 2)]
    processor = tf.LlavaOnevisionProcessor(
        image_processor=tf.LlavaOnevisionImageProcessor(size=SIZE, image_grid_pinpoints=grid),
        tokenizer=words,
        video_processor=tf.LlavaOnevisionVideoProcessor(size=SIZE),
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=MEDIA_FIRST,
    )
    config = tf.LlavaOnevisionConfig(
        vision_config=tf.SiglipVisionConfig(**SEES, **SQUARE, vision_use_head=False),
        text_config=tf.Qwen2Config(**text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grid,
        vision_feature_layer=-1,
    )
    return tf.LlavaOnevisionForConditionalGeneration(config), processor


def llava() -> tuple[Any, Any]:
    """LLaVA-1.5: no clips, and features of the encoder's last layer but one. Its tokenizer begins texts, and it has
    nothing to pad with."""
    words = tokenizer({"bos_token": "<s>", "eos_token": "</s>"}, ("<image>",))
    words.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", words.bos_token_id)]
    )
    processor = tf.LlavaProcessor(
        image_processor=tf.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIZE),
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA,
    )
    config = tf.LlavaConfig(
        vision_config=tf.CLIPVisionConfig(**SEES, **SQUARE, projection_dim=WIDTH),
        text_config=tf.LlamaConfig(**text(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    return tf.LlavaForConditionalGeneration(config), processor


def idefics3() -> tuple[Any, Any]:
    """Pictures in rows and columns of crops, which one row of a batch holds together."""
    rows = tuple(f"<row_{y}_col_{x}>" for y in (1, 2) for x in (1, 2))
    ends = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>", "pad_token": "<pad>"}
    marks = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
    words = tokenizer(ends, (*marks, *rows))
    processor = tf.Idefics3Processor(
        image_processor=tf.Idefics3ImageProcessor(
            size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
        ),
        tokenizer=words,
        image_seq_len=(SIDE // PATCH) ** 2 // 4,
        chat_template=UTTERANCES,
    )
    config = tf.Idefics3Config(
        vision_config={**SEES, **SQUARE},
        text_config=tf.LlamaConfig(**text(words)),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    return tf.Idefics3ForConditionalGeneration(config), processor


def gemma3() -> tuple[Any, Any]:
    """A picture's tokens see each other both ways, and every other layer sees a window alone."""
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    ends = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
    words = tokenizer(ends, named | {"sot_token": "<start_of_turn>", "eot_token": "<end_of_turn>"})
    processor = tf.Gemma3Processor(
        image_processor=tf.Gemma3ImageProcessor(size=SIZE),
        tokenizer=words,
        image_seq_length=4,
        chat_template=TRIMMED,
    )
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 24}
    config = tf.Gemma3Config(
        vision_config=tf.SiglipVisionConfig(**SEES, **SQUARE, vision_use_head=False),
        text_config=tf.Gemma3TextConfig(**text(words), query_pre_attn_scalar=16, **layers),
        mm_tokens_per_image=4,
        boi_token_index=words.boi_token_id,
        eoi_token_index=words.eoi_token_id,
        image_token_index=words.image_token_id,
    )
    model = tf.Gemma3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = [words.eos_token_id, words.eot_token_id]
    return model, processor


def internvl() -> tuple[Any, Any]:
    """Frames of native clips fill the slot of pictures."""
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    words = tokenizer(CHATML, named | {"video_token": "<video>", "start_token": "<|im_start|>"})
    processor = tf.InternVLProcessor(
        image_processor=tf.GotOcr2ImageProcessor(size=SIZE, max_patches=4),
        tokenizer=words,
        video_processor=tf.InternVLVideoProcessor(size=SIZE),
        image_seq_length=4,
        chat_template=chatml("<IMG_CONTEXT>\n", "<video>\n"),
    )
    config = tf.InternVLConfig(
        vision_config={**SEES, "image_size": [SIDE, SIDE], "patch_size": [PATCH, PATCH]},
        text_config=tf.Qwen2Config(**text(words)),
        image_token_id=words.context_image_token_id,
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    return tf.InternVLForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    one.__name__: one for one in (qwen2_vl, qwen2_5_vl, qwen3_vl, llava_onevision, llava, idefics3, gemma3, internvl)
}


def save_vlm(family: str, folder: str | Path) -> None:
    """Writes a checkpoint as `save_pretrained` of its family does."""
    torch.manual_seed(sum(map(ord, family)))
    model, processor = FAMILIES[family]()
    with torch.no_grad():  # zeros and ones of a new model would hide what a layer does
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)

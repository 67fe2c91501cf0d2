"""A VLM of real proportions with random weights, so that its arithmetic and not Python is what a benchmark measures."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

SIDE = 224
"""Of the square that every picture is made: 16 x 16 patches, 64 tokens."""
_PATCH = 14


def tiny_vlm() -> str:
    """The embedded VLM of 1.4 million parameters."""
    return str(files("urm_ray.scenes") / "checkpoints" / "vlm")


def small_vlm(
    folder: str | Path,
    *,
    hidden: int = 576,
    layers: int = 30,
    heads: int = 9,
    kv_heads: int = 3,
    intermediate: int = 1536,
    vocabulary: int = 49_152,
    vision_hidden: int = 384,
    vision_layers: int = 12,
    vision_heads: int = 6,
    vision_intermediate: int = 1024,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> str:
    """Writes a checkpoint in the layout of Qwen2.5-VL, unless the folder has one, and returns the folder.

    The language model has SmolLM2-135M's proportions, the vision encoder those of a ViT-S. Processor and chat template
    are the embedded VLM's, but for pictures of SIDE; of the vocabulary its tokenizer knows the first 768 tokens.
    """
    place = Path(folder)
    if (place / "config.json").is_file():
        return str(place)
    processor = _processor()
    token = processor.tokenizer.convert_tokens_to_ids
    eighth = hidden // heads // 8
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": hidden,
            "intermediate_size": intermediate,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 100_000.0,
                "mrope_section": [2 * eighth, eighth, eighth],
            },
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config={
            "depth": vision_layers,
            "hidden_size": vision_hidden,
            "intermediate_size": vision_intermediate,
            "num_heads": vision_heads,
            "out_hidden_size": hidden,
            "patch_size": _PATCH,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [*range(3, vision_layers, 4)],
        },
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config).to(dtype)
    model.generation_config.eos_token_id = token("<|im_end|>")
    model.generation_config.pad_token_id = token("<|endoftext|>")
    unfinished = place.with_name(place.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    processor.save_pretrained(unfinished)
    unfinished.rename(place)
    return str(place)


def _processor() -> Qwen2_5_VLProcessor:
    embedded = Qwen2_5_VLProcessor.from_pretrained(tiny_vlm())
    pixels = {"min_pixels": SIDE * SIDE, "max_pixels": SIDE * SIDE}
    common = {"patch_size": _PATCH, "merge_size": 2, "temporal_patch_size": 2, **pixels}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**common),
        tokenizer=embedded.tokenizer,
        video_processor=Qwen2VLVideoProcessor(**common),
        chat_template=embedded.chat_template,
    )

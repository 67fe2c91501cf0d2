"""Checkpoints without weights: real architectures of 20 to 160 million parameters, as configuration files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

QWEN: dict[str, Any] = {
    "model_type": "qwen2_5_vl",
    "tie_word_embeddings": False,
    "image_token_id": 5,
    "video_token_id": 6,
    "vision_start_token_id": 3,
    "vision_end_token_id": 4,
    "text_config": {
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 1e6},
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "vision_config": {
        "depth": 8,
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_heads": 8,
        "out_hidden_size": 768,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [3, 7],
    },
}
"""Qwen2.5-VL, 157 million parameters."""

LLAVA: dict[str, Any] = {
    "model_type": "llava_onevision",
    "tie_word_embeddings": False,
    "image_token_id": 5,
    "video_token_id": 6,
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
    "vision_aspect_ratio": "anyres_max_9",
    "image_grid_pinpoints": [[112 * i, 112 * j] for i in range(1, 4) for j in range(1, 4)],
    "text_config": {
        "model_type": "qwen2",
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
        "vocab_size": 32000,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "image_size": 112,
        "patch_size": 14,
        "vision_use_head": False,
    },
}
"""LLaVA-OneVision."""

UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 32,
    "block_out_channels": [160, 320, 640],
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "cross_attention_dim": 768,
}
VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [64, 128, 256, 256],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
}
TEXT: dict[str, Any] = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "hidden_size": 768,
    "intermediate_size": 1536,
    "num_hidden_layers": 4,
    "num_attention_heads": 12,
    "vocab_size": 1000,
}
WAN: dict[str, Any] = {
    "_class_name": "WanTransformer3DModel",
    "num_attention_heads": 6,
    "attention_head_dim": 128,
    "ffn_dim": 3072,
    "num_layers": 8,
    "text_dim": 768,
}

PIPELINES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "unet": ("StableDiffusionPipeline", {"unet": UNET, "vae": VAE, "text_encoder": TEXT}),
    "wan": ("WanPipeline", {"transformer": WAN, "vae": {"_class_name": "AutoencoderKLWan"}, "text_encoder": TEXT}),
}


def write(name: str, folder: Path) -> str:
    """The checkpoint of this name as a folder of configuration files; its path."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    if name in PIPELINES:
        kind, parts = PIPELINES[name]
        index = {"_class_name": kind} | {part: ["library", "Class"] for part in parts}
        (place / "model_index.json").write_text(json.dumps(index))
        for part, config in parts.items():
            (place / part).mkdir(exist_ok=True)
            (place / part / "config.json").write_text(json.dumps(config))
    else:
        (place / "config.json").write_text(json.dumps({"qwen": QWEN, "llava": LLAVA}[name]))
    return str(place)

"""Checkpoints in the format of the LLaVA-NeXT code base, in the terms of transformers' LLaVA-OneVision.

UnifiedReward 1.0 and Think on LLaVA, LLaVA-OneVision, LLaVA-Video and LLaVA-Critic were released so: a config.json with
`mm_*` settings, and weights under the names of `LlavaQwenForCausalLM`. `urm_ray.llava_next_convert` writes them anew.

Equal after conversion: every weight, bit by bit; the tower, which LLaVA-NeXT cuts off before its last layer and reads
without its last norm; the projector; pictures, cut into tiles (anyres) where a chat has one, padded to a square where
it has several, as in LLaVA-NeXT's training; the newline behind each row of a picture's tiles, or behind a picture
without tiles; native clips, halved to 14 x 14 features a frame with one newline behind the last (`one_token`).

Not equal, by what transformers does:
- LLaVA-NeXT can put a newline behind each row of every frame (`mm_newline_position: grid`, LLaVA-Video) or each frame,
  and tell the model the times of frames in words (`add_time_instruction`). `clips_advice` says so; clips of such a
  model should be shown as frames (`clips.shown: frames`), each a picture of its own.
- Published scripts of UnifiedReward cut both pictures of a pair into tiles, and give frames without newlines.
- Where a picture fits its tiles by less than a rounding error, LLaVA-NeXT may leave one row more or less of features.
- Pictures are scaled by torchvision and not by Pillow: values differ by up to some hundredths of their range.

None of this could be checked against released weights: tests compare with random checkpoints of the same form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ARCHITECTURE = "LlavaQwenForCausalLM"
TOWER = "model.vision_tower.vision_tower.vision_model."
"""What the names of a vision tower's weights begin with, where a checkpoint holds one."""
NAMES = {
    TOWER: "model.vision_tower.",
    "model.mm_projector.0.": "model.multi_modal_projector.linear_1.",
    "model.mm_projector.2.": "model.multi_modal_projector.linear_2.",
    "model.image_newline": "model.image_newline",
    "model.embed_tokens.": "model.language_model.embed_tokens.",
    "model.layers.": "model.language_model.layers.",
    "model.norm.": "model.language_model.norm.",
    "lm_head.": "lm_head.",
}
"""Beginnings of names there, and what stands in their place in transformers."""
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
COMPUTED = (".rotary_emb.inv_freq", ".embeddings.position_ids")
"""What the names of buffers end with that older versions stored and that models make for themselves."""

TOWERS = {
    "siglip-so400m-patch14-384": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 384,
        "patch_size": 14,
    }
}
"""What the shapes of weights do not tell of a tower, by the last part of its name; each with all of its layers."""
_TEXT = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("hidden_act", "rms_norm_eps", "rope_theta", "max_position_embeddings"),
)
_TEXT_MAY = (
    *("attention_dropout", "initializer_range", "rope_scaling", "use_cache"),
    *("use_sliding_window", "sliding_window", "max_window_layers", "bos_token_id", "eos_token_id"),
)
_WANTED: dict[str, tuple[Any, ...]] = {
    "architectures": ([ARCHITECTURE],),
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_patch_merge_type": ("spatial_unpad",),
    "mm_resampler_type": (None,),
    "mm_use_im_start_end": (False, None),
    "mm_use_im_patch_token": (False, None),
    "add_faster_video": (False, None),
}
"""Settings that LLaVA-OneVision of transformers can follow, each with its values there."""


class FormatError(ValueError):
    """A checkpoint that cannot be converted; the message says why."""


def is_llava_next(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is one of the LLaVA-NeXT code base, or of LLaVA before it."""
    return "mm_vision_tower" in config


def renamed(key: str) -> str:
    """The name in transformers of a weight that has one, which `original` makes of it."""
    before, after = next((before, after) for before, after in NAMES.items() if key.startswith(before))
    return after + key[len(before) :]


def original(name: str) -> str:
    """The name in the checkpoint of a weight that transformers calls `name`."""
    before, after = next((before, after) for before, after in NAMES.items() if name.startswith(after))
    return before + name[len(after) :]


def onevision_config(config: Mapping[str, Any], vocabulary: int, tied: bool) -> Any:
    """A `LlavaOnevisionConfig` of all that config.json says, without the tokens of slots.

    vocabulary: rows of the embedding. FormatError where a setting is missing or is one that transformers cannot follow.
    """
    from transformers import LlavaOnevisionConfig, Qwen2Config, SiglipVisionConfig

    for name, values in _WANTED.items():
        if config.get(name) not in values:
            raise FormatError(f"{name} is {config.get(name)!r}, and only {values[0]!r} can be converted")
    if missing := [name for name in _TEXT if config.get(name) is None]:
        raise FormatError(f"its config.json lacks {', '.join(missing)}")
    text = {name: config[name] for name in (*_TEXT, *_TEXT_MAY) if name in config}
    tower = _tower(config["mm_vision_tower"])
    side = tower["image_size"]
    pinpoints = _pinpoints(config.get("image_grid_pinpoints"), side)
    return LlavaOnevisionConfig(
        text_config=Qwen2Config(**text, vocab_size=vocabulary, tie_word_embeddings=tied),
        # LLaVA-NeXT drops a tower's last layer and its pooling head, whatever mm_vision_select_layer says.
        vision_config=SiglipVisionConfig(
            **tower | {"num_hidden_layers": tower["num_hidden_layers"] - 1}, vision_use_head=False
        ),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=pinpoints,
        vision_aspect_ratio=_aspect_ratio(config.get("image_aspect_ratio"), pinpoints, side),
        tie_word_embeddings=tied,
        architectures=["LlavaOnevisionForConditionalGeneration"],
    )


def clips_advice(config: Mapping[str, Any]) -> str | None:
    """Why native clips would not be what the model was trained on, and what to set; None where they are."""
    newline = config.get("mm_newline_position", "one_token")
    pooled = config.get("mm_spatial_pool_mode", "bilinear")
    why = [f"mm_newline_position is {newline}"] * (newline != "one_token")
    why += [f"mm_spatial_pool_mode is {pooled}"] * (pooled != "bilinear")
    why += ["it is told the times of frames (add_time_instruction)"] * bool(config.get("add_time_instruction"))
    if not why:
        return None
    return f"native clips are not what it was trained on ({', '.join(why)}): set `clips.shown` to frames"


def _tower(name: str) -> dict[str, Any]:
    """The settings of a SigLIP tower with all its layers: of a known name, or of a folder's config.json."""
    if known := TOWERS.get(name.rstrip("/").rpartition("/")[2]):
        return known
    file = Path(name) / "config.json"
    if not file.is_file():
        raise FormatError(
            f"mm_vision_tower is {name!r}, which is not known: it may be {', '.join(TOWERS)}, or a folder with the"
            " config.json of a SigLIP tower"
        )
    found = json.loads(file.read_text("utf-8"))
    found = found.get("vision_config", found)
    needed = next(iter(TOWERS.values()))
    if found.get("model_type") != "siglip_vision_model" or not needed.keys() <= found.keys():
        raise FormatError(f"{file} is not of a SigLIP tower, or lacks one of {', '.join(needed)}")
    return {name: found[name] for name in (*needed, "hidden_act", "layer_norm_eps") if name in found}


def _pinpoints(found: Any, side: int) -> list[list[int]]:
    """Sizes in pixels, (height, width), of pictures cut into tiles. LLaVA-NeXT has (width, height), as a list or, in
    tiles, as the string "(1x1),...,(6x6)"; the order stays, which decides between sizes that fit equally well."""
    if isinstance(found, str) and (ends := re.fullmatch(r"\((\d+)x(\d+)\),\.\.\.,\((\d+)x(\d+)\)", found)):
        first, low, last, high = map(int, ends.groups())
        found = [[side * i, side * j] for i in range(first, last + 1) for j in range(low, high + 1)]
    try:
        sizes = [[int(height), int(width)] for width, height in found]
    except (TypeError, ValueError):
        raise FormatError(f"image_grid_pinpoints is {found!r}, and has to be a list of sizes") from None
    if not sizes or any(length < side or length % side for size in sizes for length in size):
        raise FormatError(f"image_grid_pinpoints has a size that is not made of tiles of {side} x {side}")
    return sizes


def _aspect_ratio(found: Any, pinpoints: list[list[int]], side: int) -> str:
    """anyres_max_N: features of more than N tiles are scaled down. Without a maximum, N is as many as there can be."""
    if isinstance(found, str) and re.fullmatch(r"anyres_max_[1-9]\d*", found):
        return found
    if found == "anyres":
        return f"anyres_max_{max(height * width for height, width in pinpoints) // side**2}"
    raise FormatError(f"image_aspect_ratio is {found!r}, and only 'anyres' and 'anyres_max_N' can be converted")

"""A text-to-video policy in the TextToVideoSD layout with random weights, and clips to train it on."""

from __future__ import annotations

import hashlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT, candidate
from PIL import Image

from urm_ray import schema
from urm_ray.media import MediaError, encode_image

TEXT_TO_IMAGE = str(ROOT / "urm_ray/scenes/checkpoints/text_to_image")
SIZE, FRAMES = 16, 3


def save_toy_video(folder: str) -> None:
    """Tiny U-Net over space and time, with the words and the autoencoder of the shipped text-to-image pipeline."""
    from diffusers import AutoencoderKL, DDIMScheduler, TextToVideoSDPipeline, UNet3DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    unet = UNet3DConditionModel(
        sample_size=SIZE // 4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        block_out_channels=(16, 16),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    with torch.no_grad():
        for parameter in unet.parameters():  # temporal layers start as zeros, and would do nothing
            parameter.add_(0.05 * torch.randn_like(parameter))
    TextToVideoSDPipeline(
        unet=unet,
        vae=AutoencoderKL.from_pretrained(TEXT_TO_IMAGE, subfolder="vae"),
        text_encoder=CLIPTextModel.from_pretrained(TEXT_TO_IMAGE, subfolder="text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(TEXT_TO_IMAGE, subfolder="tokenizer"),
        scheduler=DDIMScheduler.from_pretrained(TEXT_TO_IMAGE, subfolder="scheduler"),
    ).save_pretrained(folder)


def encode_clip(frames: list[Image.Image], fps: float) -> dict[str, Any]:
    """A clip without loss: its pixels as they are."""
    data = np.stack([np.asarray(frame) for frame in frames]).tobytes()
    return {
        "kind": "video",
        "data": data,
        "uri": None,
        "width": frames[0].width,
        "height": frames[0].height,
        "frames": len(frames),
        "fps": fps,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def decode_frames(value: dict[str, Any] | None) -> list[Image.Image]:
    """The frames of `encode_clip`, or MediaError."""
    if value is None or value["kind"] != "video":
        raise MediaError("not a clip")
    try:
        pixels = np.frombuffer(value["data"], np.uint8).reshape(value["frames"], value["height"], value["width"], 3)
    except ValueError as error:
        raise MediaError(f"the clip does not decode: {error}") from None
    return [Image.fromarray(frame) for frame in pixels]


def use_plain_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = ModuleType("urm_ray.clips")
    vars(codec).update(
        encode_clip=encode_clip,
        decode_clip=lambda value, sampling: SimpleNamespace(frames=decode_frames(value)[: sampling.maximum]),
        Sampling=SimpleNamespace,
    )
    monkeypatch.setitem(sys.modules, "urm_ray.clips", codec)


def noise_frames(seed: int, count: int = FRAMES, size: int = SIZE) -> list[Image.Image]:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return [Image.fromarray(frame) for frame in pixels]


def clip_row(number: int, **changes: Any) -> dict[str, Any]:
    """A `schema.PREFERENCE_PAIR` row of two clips."""
    row = dict.fromkeys(schema.PREFERENCE_PAIR.names) | {
        "pair_id": f"pair{number}",
        "prompt_id": f"prompt{number}",
        "task": "video_generation",
        "prompt": ("a red circle", "a blue square")[number % 2],
    }
    sides = {
        side: candidate(k, media=encode_clip(noise_frames(2 * number + k), 8.0))
        for k, side in enumerate(("chosen", "rejected"))
    }
    return row | sides | changes


def picture_row(number: int, **changes: Any) -> dict[str, Any]:
    """A `schema.PREFERENCE_PAIR` row of two pictures."""
    sides = {
        side: candidate(k, media=encode_image(noise_frames(2 * number + k, 1)[0]))
        for k, side in enumerate(("chosen", "rejected"))
    }
    return clip_row(number) | {"task": "image_generation"} | sides | changes

"""A text-to-image policy with the proportions of Stable Diffusion 1.5 and random weights."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

SIDE = 256
"""Of its pictures, in pixels; latents are an eighth of it."""
WIDTH = 4
"""All channels are this part of the original's, so the parts cost in the same relation to each other."""
WORDS = 77


def tiny_denoiser() -> str:
    """The embedded text-to-image policy: a U-Net of 1.6 million parameters, pictures of 32 x 32."""
    return str(files("urm_ray.scenes") / "checkpoints" / "text_to_image")


def small_denoiser(folder: str | Path, seed: int = 0) -> str:
    """Writes a pipeline in the layout of Stable Diffusion 1.5, unless the folder has one, and returns the folder.

    As many layers as the original's, heads as wide, and a quarter of the channels: a U-Net of 54 million parameters.
    Its tokenizer is the embedded policy's, padded to 77.
    """
    place = Path(folder)
    if (place / "model_index.json").is_file():
        return str(place)
    tokenizer = CLIPTokenizer.from_pretrained(tiny_denoiser(), subfolder="tokenizer", model_max_length=WORDS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = StableDiffusionPipeline(
            unet=_unet(),
            vae=_autoencoder(),
            text_encoder=CLIPTextModel(_words(tokenizer)),
            tokenizer=tokenizer,
            scheduler=DDIMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                clip_sample=False,
                set_alpha_to_one=False,
                steps_offset=1,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    unfinished = place.with_name(place.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    pipeline.save_pretrained(unfinished)
    unfinished.rename(place)
    return str(place)


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // 8,
        block_out_channels=tuple(width // WIDTH for width in (320, 640, 1280, 1280)),
        attention_head_dim=8 // WIDTH,  # which is the number of heads
        cross_attention_dim=768 // WIDTH,
        norm_num_groups=32 // WIDTH,
    )


def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        sample_size=SIDE,
        block_out_channels=tuple(width // WIDTH for width in (128, 256, 512, 512)),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        norm_num_groups=32 // WIDTH,
    )


def _words(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768 // WIDTH,
        intermediate_size=3072 // WIDTH,
        num_hidden_layers=12,
        num_attention_heads=12 // WIDTH,
        max_position_embeddings=WORDS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )

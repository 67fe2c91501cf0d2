"""Text-to-video checkpoints of every family, in their real classes and file formats, with small random weights."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from typing import Any

import diffusers
import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    MotionAdapter,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
    WanPipeline,
    WanTransformer3DModel,
)

WORDS = 16
"""Width of the text encoders."""
T5_WORDS = ["a", "red", "blue", "circle", "square", "moves", "left", "right"]


def t5(model: str = "T5") -> dict[str, Any]:
    """A tokenizer and a text encoder of the T5 or UMT5 kind, by their names in a pipeline."""
    import transformers

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *[("▁" + word, -1.0) for word in T5_WORDS]]
    pieces += [(letter, -5.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
    tokenizer = transformers.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)
    config = getattr(transformers, f"{model}Config")(
        vocab_size=len(tokenizer), d_model=WORDS, d_kv=8, d_ff=16, num_layers=1, num_heads=2, is_encoder_decoder=False
    )
    return {"tokenizer": tokenizer, "text_encoder": getattr(transformers, f"{model}EncoderModel")(config)}


def clip_words() -> dict[str, Any]:
    from tokenizers import pre_tokenizers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *[letter + "</w>" for letter in letters], "<|startoftext|>", "<|endoftext|>"]
    vocab = {word: number for number, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)
    config = CLIPTextConfig(
        vocab_size=len(vocab), hidden_size=WORDS, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=vocab["<|startoftext|>"], eos_token_id=vocab["<|endoftext|>"], pad_token_id=vocab["<|endoftext|>"],
    )  # fmt: skip
    return {"tokenizer": tokenizer, "text_encoder": CLIPTextModel(config)}


def picture_vae() -> Any:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8,) * 4, norm_num_groups=2, sample_size=16, scaling_factor=0.18215,
    )  # fmt: skip


def text_to_video() -> Any:
    unet = UNet3DConditionModel(
        sample_size=2, down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"), block_out_channels=(8, 8), layers_per_block=1,
        cross_attention_dim=WORDS, attention_head_dim=4, norm_num_groups=2,
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip
    return TextToVideoSDPipeline(unet=unet, vae=picture_vae(), scheduler=scheduler, **clip_words())


def animatediff() -> Any:
    return AnimateDiffPipeline(**animatediff_apart())


def animatediff_apart() -> dict[str, Any]:
    """Its parts as the hub has them: the U-Net of a pipeline for pictures, and a motion adapter."""
    unet = UNet2DConditionModel(
        sample_size=2, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), block_out_channels=(8, 8), layers_per_block=1,
        cross_attention_dim=WORDS, attention_head_dim=4, norm_num_groups=2,
    )  # fmt: skip
    adapter = MotionAdapter(
        block_out_channels=(8, 8), motion_layers_per_block=1, motion_num_attention_heads=2, motion_norm_num_groups=2,
        motion_max_seq_length=8,
    )  # fmt: skip
    scheduler = diffusers.DDIMScheduler(beta_start=0.00085, beta_end=0.012, clip_sample=False, steps_offset=1)
    return {"unet": unet, "motion_adapter": adapter, "vae": picture_vae(), "scheduler": scheduler, **clip_words()}


def cogvideox(**changes: Any) -> Any:
    """Rotary places and DPM steps as in CogVideoX-5B. changes: of the transformer."""
    transformer = CogVideoXTransformer3DModel(
        **{
            "num_attention_heads": 2, "attention_head_dim": 16, "in_channels": 4, "out_channels": 4,
            "time_embed_dim": 8, "text_embed_dim": WORDS, "num_layers": 1, "sample_width": 4, "sample_height": 2,
            "sample_frames": 9, "use_rotary_positional_embeddings": True, **changes,
        }
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(8,) * 4, latent_channels=4, layers_per_block=1, norm_num_groups=2, sample_height=16,
        sample_width=32, scaling_factor=0.7,
    )  # fmt: skip
    scheduler = diffusers.CogVideoXDPMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0, timestep_spacing="trailing",
        clip_sample=False,
    )  # fmt: skip
    return CogVideoXPipeline(transformer=transformer, vae=vae, scheduler=scheduler, **t5())


def wan(**changes: Any) -> Any:
    """changes: of the pipeline."""
    transformer = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=WORDS, freq_dim=8,
        ffn_dim=16, num_layers=1,
    )  # fmt: skip
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[-0.7, 0.1, 0.5, -0.2],
        latents_std=[2.8, 1.5, 0.6, 1.1],
    )  # fmt: skip
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return WanPipeline(transformer=transformer, vae=vae, scheduler=scheduler, **t5("UMT5"), **changes)


def ltx(**changes: Any) -> Any:
    """changes: of the autoencoder."""
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        num_layers=1, caption_channels=WORDS,
    )  # fmt: skip
    vae = AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5, **changes,
    )  # fmt: skip
    vae.latents_mean.copy_(torch.linspace(-0.5, 0.5, 8))
    vae.latents_std.copy_(torch.linspace(0.5, 1.5, 8))
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, shift_terminal=0.1
    )
    return LTXPipeline(transformer=transformer, vae=vae, scheduler=scheduler, **t5())


FAMILIES: dict[str, Callable[..., Any]] = {
    "text_to_video": text_to_video,
    "animatediff": animatediff,
    "cogvideox": cogvideox,
    "wan": wan,
    "ltx": ltx,
}
SIZES = {"text_to_video": (16, 32, 5), "animatediff": (16, 32, 5), "cogvideox": (16, 32, 9), "wan": (16, 32, 5),
         "ltx": (32, 64, 9)}  # fmt: skip
"""Height, width and frames of a family's clips."""


def save(family: str, folder: str, changes: dict[str, Any] | None = None) -> None:
    """A checkpoint in a folder; every weight is random, those that start as zeros too."""
    torch.manual_seed(0)
    pipeline = FAMILIES[family](**changes or {})
    with torch.no_grad():
        for part in pipeline.components.values():
            for parameter in part.parameters() if isinstance(part, torch.nn.Module) else ():
                parameter.add_(0.05 * torch.randn_like(parameter))
    pipeline.save_pretrained(folder)


@cache
def folder_of(family: str) -> str:
    """A checkpoint that all tests share, removed at the end."""
    folder = tempfile.mkdtemp(prefix=f"{family}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    save(family, folder)
    return folder

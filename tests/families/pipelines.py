"""Text-to-image checkpoints of every family, in their real classes and file formats, with small random weights."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from families.clip_pipelines import WORDS, clip_words, t5

SIZE = 16
"""Height and width of the pictures they make; the autoencoders are of factor 4, so latents are 4 x 4."""
PROJECTED = 8
"""Width of pooled embeddings."""


def autoencoder(**changes: Any) -> Any:
    return AutoencoderKL(
        **{
            "down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3,
            "block_out_channels": (8,) * 3, "norm_num_groups": 2, "sample_size": SIZE, **changes,
        }
    )  # fmt: skip


def unet(**changes: Any) -> Any:
    return UNet2DConditionModel(
        **{
            "sample_size": SIZE // 4, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "block_out_channels": (8, 8),
            "layers_per_block": 1, "cross_attention_dim": WORDS, "attention_head_dim": 4, "norm_num_groups": 2,
            **changes,
        }
    )  # fmt: skip


def projected_words(number: str) -> dict[str, Any]:
    """A CLIP tokenizer and text encoder with projection, by their names in a pipeline."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    made = clip_words()
    config = CLIPTextConfig(**made["text_encoder"].config.to_dict() | {"projection_dim": PROJECTED})
    return {f"tokenizer{number}": made["tokenizer"], f"text_encoder{number}": CLIPTextModelWithProjection(config)}


def wide_t5() -> dict[str, Any]:
    """A T5 as wide as two CLIPs, the third to read words."""
    from transformers import T5EncoderModel

    made = t5()
    made["text_encoder"].config.d_model = 2 * WORDS
    return {"tokenizer_3": made["tokenizer"], "text_encoder_3": T5EncoderModel(made["text_encoder"].config)}


def safety_checker() -> dict[str, Any]:
    """The checker of Stable Diffusion 1.5; its concepts are as far from every picture as can be."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPVisionConfig

    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=SIZE, patch_size=4
    )
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision.to_dict(), projection_dim=8))
    checker.concept_embeds_weights.data.fill_(2.0)  # no cosine is so large
    checker.special_care_embeds_weights.data.fill_(2.0)
    sides = {"height": SIZE, "width": SIZE}
    eyes = CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size=sides)
    return {"safety_checker": checker, "feature_extractor": eyes}


def stable_diffusion(**changes: Any) -> Any:
    """As Stable Diffusion 1.5. changes: of its scheduler."""
    scheduler = diffusers.PNDMScheduler(
        **{
            "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "skip_prk_steps": True,
            "set_alpha_to_one": False, "steps_offset": 1, **changes,
        }
    )  # fmt: skip
    vae = autoencoder(scaling_factor=0.18215)
    return diffusers.StableDiffusionPipeline(
        unet=unet(), vae=vae, scheduler=scheduler, **clip_words(), **safety_checker()
    )


def stable_diffusion_xl(scheduler: Any = None) -> Any:
    made = unet(
        addition_embed_type="text_time", addition_time_embed_dim=4, use_linear_projection=True,
        projection_class_embeddings_input_dim=6 * 4 + PROJECTED, cross_attention_dim=2 * WORDS,
        transformer_layers_per_block=(1, 2), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    scheduler = scheduler or diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )
    vae = autoencoder(scaling_factor=0.13025, force_upcast=True)
    words = clip_words() | projected_words("_2")
    return diffusers.StableDiffusionXLPipeline(unet=made, vae=vae, scheduler=scheduler, add_watermarker=False, **words)


def stable_diffusion_xl_turbo() -> Any:
    return stable_diffusion_xl(
        diffusers.EulerAncestralDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            timestep_spacing="trailing",
        )
    )  # fmt: skip


def flow_autoencoder(scaling_factor: float, shift_factor: float) -> Any:
    return autoencoder(
        scaling_factor=scaling_factor, shift_factor=shift_factor, use_quant_conv=False, use_post_quant_conv=False
    )


def stable_diffusion_3(**changes: Any) -> Any:
    """changes: of its parts, such as a missing T5."""
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=SIZE // 4, patch_size=2, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=2 * WORDS, caption_projection_dim=16,
        pooled_projection_dim=2 * PROJECTED, pos_embed_max_size=8, qk_norm="rms_norm",
    )  # fmt: skip
    words = projected_words("") | projected_words("_2") | wide_t5()
    return diffusers.StableDiffusion3Pipeline(
        **{
            "transformer": transformer, "vae": flow_autoencoder(1.5305, 0.0609),
            "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0), **words, **changes,
        }
    )  # fmt: skip


def flux(guidance_embeds: bool = True) -> Any:
    """FLUX.1 dev, or schnell without guidance."""
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=WORDS, pooled_projection_dim=WORDS, axes_dims_rope=(2, 2, 4),
        guidance_embeds=guidance_embeds,
    )  # fmt: skip
    dynamic = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "shift": 3.0}
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**(dynamic if guidance_embeds else {"shift": 1.0}))
    words = clip_words() | {f"{name}_2": part for name, part in t5().items()}
    vae = flow_autoencoder(0.3611, 0.1159)
    return diffusers.FluxPipeline(transformer=transformer, vae=vae, scheduler=scheduler, **words)


FAMILIES: dict[str, Callable[..., Any]] = {
    "stable_diffusion": stable_diffusion,
    "stable_diffusion_xl": stable_diffusion_xl,
    "stable_diffusion_xl_turbo": stable_diffusion_xl_turbo,
    "stable_diffusion_3": stable_diffusion_3,
    "flux": flux,
}


def save(pipeline: Any, folder: str) -> None:
    """A checkpoint in a folder; every weight is random, those that start as zeros or ones too."""
    with torch.no_grad():
        for name, part in pipeline.components.items():
            if isinstance(part, torch.nn.Module) and name != "safety_checker":
                for parameter in part.parameters():
                    parameter.add_(0.05 * torch.randn_like(parameter))
    pipeline.save_pretrained(folder)


@cache
def folder_of(family: str, **changes: Any) -> str:
    """A checkpoint that all tests share, removed at the end."""
    folder = tempfile.mkdtemp(prefix=f"{family}-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    torch.manual_seed(0)
    save(FAMILIES[family](**changes), folder)
    return folder

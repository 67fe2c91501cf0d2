"""What a diffusion policy makes with given settings: sizes in pixels, in latents, and what its denoiser is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from urm_ray.config_policy import SamplerConfig
from urm_ray.denoisers.family import Conditioning, Family
from urm_ray.denoisers.registry import FAMILIES
from urm_ray.planning.architectures import Architecture
from urm_ray.planning.skeleton import whole_config

_COMPRESSION = {
    "AutoencoderKLCogVideoX": (4, 8),
    "AutoencoderKLLTXVideo": (8, 32),
    "AutoencoderKLWan": (4, 8),
}
"""Frames, and pixels of height and width, that one latent stands for; a picture's autoencoder halves in each block."""
_OWN_SIZE = {"WanPipeline": (480, 832), "LTXPipeline": (512, 704), "FluxPipeline": (1024, 1024)}
"""Height and width of pipelines whose denoiser does not say what it was trained for: the defaults of their calls."""
_WORDS = {"CogVideoXPipeline": 226, "FluxPipeline": 512, "LTXPipeline": 128, "WanPipeline": 512}
"""Places of a prompt, by the defaults of the pipelines' calls; all others have CLIP's 77."""
_CLIP, _SD3_T5 = 77, 256


@dataclass(frozen=True)
class Shots:
    """The pictures (one frame) or clips of one sampler."""

    height: int
    width: int
    frames: int
    latents: tuple[int, ...]
    """(C, h, w) of a picture, (C, F, h, w) of a clip."""
    compression: tuple[int, int]
    """Frames, and pixels of a side, in one latent."""

    @property
    def pixels(self) -> int:
        return self.height * self.width * self.frames


def family_of(architecture: Architecture) -> Family | None:
    """How the denoiser is called; None where it cannot be trained, and may only sample."""
    known = FAMILIES.get(architecture.pipeline or "")
    if known is None or known.denoiser not in architecture.parts:
        return None
    return known(whole_config(architecture.path, known.denoiser))


def shots(architecture: Architecture, family: Family, sampler: SamplerConfig) -> Shots:
    """What a sampler makes, sizes being rounded down to whole latents."""
    vae = whole_config(architecture.path, "vae")
    known = _COMPRESSION.get(vae["_class_name"])
    time, side = known or (1, 2 ** (len(vae["block_out_channels"]) - 1))
    own = _own_size(architecture.pipeline or "", family.config, side)
    height, width = sampler.height or own[0], sampler.width or own[1]
    channels = next(vae[name] for name in ("latent_channels", "z_dim") if vae.get(name))
    grid = height // side, width // side
    if family.makes == "image":
        return Shots(height, width, 1, (channels, *grid), (1, side))
    return Shots(height, width, sampler.frames, (channels, (sampler.frames - 1) // time + 1, *grid), (time, side))


def _own_size(pipeline: str, denoiser: Mapping[str, Any], side: int) -> tuple[int, int]:
    if pipeline in _OWN_SIZE:
        return _OWN_SIZE[pipeline]
    latents = [denoiser.get(name) or denoiser["sample_size"] for name in ("sample_height", "sample_width")]
    return latents[0] * side, latents[1] * side


def conditioning(architecture: Architecture, family: Family, sampler: SamplerConfig, made: Shots) -> Conditioning:
    """What the denoiser is told of one prompt, as `Family.conditioning` gives it, in shapes alone."""
    config, pipeline = family.config, architecture.pipeline or ""
    words = sampler.max_sequence_length or _WORDS.get(pipeline, _CLIP)
    if pipeline == "StableDiffusion3Pipeline":
        words = _CLIP + (sampler.max_sequence_length or _SD3_T5)
    width = next(
        config[name]
        for name in ("caption_channels", "text_dim", "text_embed_dim", "joint_attention_dim", "cross_attention_dim")
        if config.get(name)
    )
    told = {"prompt_embeds": torch.empty(words, width, device="meta")}
    if pooled := config.get("pooled_projection_dim"):
        told["pooled_prompt_embeds"] = torch.empty(pooled, device="meta")
    if config.get("addition_embed_type") == "text_time":
        sizes = 6 * config["addition_time_embed_dim"]
        told["pooled_prompt_embeds"] = torch.empty(
            config["projection_class_embeddings_input_dim"] - sizes, device="meta"
        )
        told["time_ids"] = torch.empty(6, device="meta")
    if config.get("guidance_embeds"):
        told["guidance"] = torch.empty((), device="meta")
    if config.get("time_cond_proj_dim"):
        told["timestep_cond"] = torch.empty(config["time_cond_proj_dim"], device="meta")
    if pipeline == "LTXPipeline":
        told["prompt_attention_mask"] = torch.empty(words, device="meta")
        told["rope_interpolation_scale"] = torch.tensor([made.compression[0] / sampler.fps, *[made.compression[1]] * 2])
    return told


def encoded_bytes(made: Shots, told: Conditioning, size: int) -> int:
    """Of a pair as it is stored for the training: mean and deviation of two sides, and what the denoiser is told.

    size: bytes of a number.
    """
    return size * 4 * math.prod(made.latents) + 4 * sum(tensor.numel() for tensor in told.values())
